/** multer and @koa/multer bring no types: what the tests use of them. */
declare module 'multer' {
  import type { IncomingMessage, ServerResponse } from 'node:http'
  import type { Readable } from 'node:stream'

  type Done<Result> = (error: Error | null, result?: Result) => void

  namespace multer {
    interface UploadedFile {
      readonly originalname: string
      readonly filename: string
      readonly size: number
      readonly stream: Readable
    }
    interface StorageEngine {
      _handleFile(req: IncomingMessage, file: UploadedFile, done: Done<Partial<UploadedFile>>): void
      _removeFile(req: IncomingMessage, file: UploadedFile, done: Done<void>): void
    }
    interface Options {
      storage?: StorageEngine
      fileFilter?: (req: IncomingMessage, file: UploadedFile, done: Done<boolean>) => void
      limits?: { fileSize?: number }
    }
  }
  function multer(options: multer.Options): {
    single(field: string): (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void
  }
  export = multer
}

declare module '@koa/multer' {
  import type { IncomingMessage } from 'node:http'
  import type { Middleware } from 'koa'
  import type { Options, StorageEngine, UploadedFile } from 'multer'

  type Name = (req: IncomingMessage, file: UploadedFile, done: (error: null, name: string) => void) => void
  function multer(options: Options): { single(field: string): Middleware }
  namespace multer {
    function memoryStorage(): StorageEngine
    function diskStorage(options: { destination: Name; filename: Name }): StorageEngine
  }
  export default multer
}
