import type Koa from 'koa'
import type { CheckedCookie } from './attributes.ts'

/** The name of the cookie that `'auto'` stands for. */
export const DEFAULT_NAME = 'sid'

/**
 * Whether browsers keep this cookie with the prefix `__Host-`, by its attributes and the connection (RFC 6265bis, section
 * 4.1.3.2). `isSecure`: whether the cookie gets the attribute Secure.
 */
export function mayBePrefixed({ path, domain }: CheckedCookie, isSecure: boolean): boolean {
  return isSecure && path === '/' && domain === undefined
}

/** The same for the cookie of a request. */
export function isPrefixedFor(ctx: Koa.Context, attributes: CheckedCookie): boolean {
  const { secure } = attributes
  return mayBePrefixed(attributes, secure === 'auto' ? ctx.secure : secure)
}

/** One name under which the cookie may come, and what its signature may cover. */
export interface NamedCookie {
  readonly name: string
  readonly assignment: string
  /** Labels, the likeliest first: what stands before the token in the text that is signed. */
  readonly accepted: readonly string[]
  /** Labels that are known, and not accepted here. */
  readonly refused: readonly string[]
}

/** The names of one middleware's cookie, and what is read and written under them. */
export interface CookieNames {
  /** All of them, the prefixed one first. */
  readonly all: readonly string[]
  /** What to look for, in this order. `isPrefixed`: see `mayBePrefixed`; `undefined` if that is not known. */
  read(isPrefixed: boolean | undefined): readonly NamedCookie[]
  nameFor(isPrefixed: boolean): string
  /** What the signature covers before the token. */
  labelFor(isPrefixed: boolean): string
  /** The name without the prefix, with whatever was ever signed under it. */
  readonly plain: NamedCookie
}

/**
 * With `isAuto`, the cookie is `__Host-<name>` if browsers keep that, and `<name>` otherwise.
 *
 * A plain name can be planted: by another host of the domain, and by anyone who stands on a connection without https. So
 * a cookie that is given out under the plain name says in its signature that it is one, and no connection with the
 * prefix accepts it. What such a connection does accept is a cookie from before `isAuto`, whose signature covers its name
 * alone. No such cookie is made any more, so the last one ends with its session.
 */
export function cookieNames(name: string, isAuto: boolean): CookieNames {
  const named = (of: string, accepted: readonly string[], refused: readonly string[] = []): NamedCookie => ({
    name: of,
    assignment: `${of}=`,
    accepted,
    refused,
  })
  if (!isAuto) {
    const plain = named(name, [name])
    const only = [plain]
    return { all: [name], read: () => only, nameFor: () => name, labelFor: () => name, plain }
  }
  const prefixed = `__Host-${name}`
  // No cookie has a name with a colon in it.
  const label = `plain:${name}`
  const own = named(prefixed, [prefixed])
  const plain = named(name, [label, name])
  const withPrefix = [own, named(name, [name], [label])]
  const withoutPrefix = [plain]
  const unknown = [own, plain]
  return {
    all: [prefixed, name],
    read: (isPrefixed) => (isPrefixed === undefined ? unknown : isPrefixed ? withPrefix : withoutPrefix),
    nameFor: (isPrefixed) => (isPrefixed ? prefixed : name),
    labelFor: (isPrefixed) => (isPrefixed ? prefixed : label),
    plain,
  }
}
