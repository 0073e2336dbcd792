import { join } from 'node:path'

/** Where this very file is. In a bundle of CommonJS there is no `import.meta`, and the name of the bundle is at hand. */
const HERE: string | undefined = typeof __filename === 'string' ? __filename : import.meta.url

/**
 * Files beside which the package of a driver may be installed, the likeliest first: this one, and one of the working
 * directory, because a linked package resolves from its real place, where the application's packages are out of sight.
 */
export const PLACES: readonly string[] = [...(HERE ? [HERE] : []), join(process.cwd(), 'index.js')]
