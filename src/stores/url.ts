import type { Store } from '../store.ts'
import { memoryStore } from './memory.ts'
import { fileStore } from './file.ts'
export function storeFromUrl(url: string): Store {
  return url.startsWith('file') ? fileStore({ directory: url.slice(5) }) : memoryStore()
}
