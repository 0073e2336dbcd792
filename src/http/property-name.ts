import type { Checks } from '../checks.ts'

/** What every context of Koa has already, beside what every object has. A test compares this list with Koa itself. */
const OF_KOA: ReadonlySet<string> = new Set(
  (
    'accept accepts acceptsCharsets acceptsEncodings acceptsLanguages app append assert attachment back body cookies etag ' +
    'flushHeaders fresh get has header headerSent headers host hostname href idempotent inspect ip ips is lastModified ' +
    'length message method onerror origin originalUrl path protocol query querystring redirect remove req request res ' +
    'respond response search secure set socket stale state status subdomains throw toJSON type url URL vary writable'
  ).split(' '),
)

/** Checks the option `property`: a name that a context of Koa has not already. */
export function checkProperty(checks: Checks, property: unknown): void {
  if (typeof property !== 'string' || !/^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(property))
    throw checks.wrong('property', "must be a name for a property of ctx, such as 'admin'", property)
  if (OF_KOA.has(property) || property in Object.prototype)
    throw checks.refusal(`property is '${property}', and Koa has a ctx.${property} already. Take another name.`)
}
