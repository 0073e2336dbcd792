/*
 * A process may load this package more than once: by `import` and through a bundle or a tool that takes CommonJS only, or
 * because two packages each brought it along. What has to be one for all of them is kept with the process.
 */

/** The release of this copy: the version in package.json. */
export const VERSION = '0.1.0'

const COPIES: unique symbol = Symbol.for('koa-server-session.copies')
/** By version: what the copies of that version share. */
const everywhere = globalThis as { [COPIES]?: Map<string, Map<string, unknown>> }
const versions = (everywhere[COPIES] ??= new Map<string, Map<string, unknown>>())

/**
 * The thing of this name that all copies of this version share; whoever asks first makes it. Another version has a thing
 * of its own, because it may understand another one under the same name.
 */
export function shared<Thing>(name: string, make: () => Thing): Thing {
  let things = versions.get(VERSION)
  if (!things) versions.set(VERSION, (things = new Map()))
  if (!things.has(name)) things.set(name, make())
  return things.get(name) as Thing
}

/** The versions that are loaded in this process, this one first. */
export function versionsLoaded(): string[] {
  return [VERSION, ...[...versions.keys()].filter((version) => version !== VERSION)]
}
