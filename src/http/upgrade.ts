import type { IncomingMessage } from 'node:http'

/**
 * Whether Node has handed the socket of this request over, in 'upgrade' or 'connect'. Its types do not know the property.
 * Whatever answers such a request writes to the socket itself, so no head leaves that could carry a cookie.
 */
export function isUpgrade(request: IncomingMessage & { readonly upgrade?: boolean | null }): boolean {
  return request.upgrade === true
}
