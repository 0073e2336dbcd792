import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { Writable } from 'node:stream'
import { bodyParser } from '@koa/bodyparser'
import multer from '@koa/multer'
import type Koa from 'koa'
import koaConnect from 'koa-connect'
import expressMulter from 'multer'
import { bindSession, getSession, type Session } from '../../src/index.ts'
import { companionSite } from '../support/sites/companion-site.ts'
import { currentSession } from '../support/sites/http.ts'
import type { Reply } from '../support/clients/agent.ts'
import type { Visitor } from '../support/clients/visitor.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const MEGABYTE = 1024 * 1024
const PHOTO = Buffer.alloc(5 * MEGABYTE, 'a piece of a photo')

function upload(visitor: Visitor, path = '/upload'): Promise<Reply> {
  const body = new FormData()
  body.set('title', 'on holiday')
  body.set('photo', new Blob([PHOTO], { type: 'image/jpeg' }), 'photo.jpg')
  return visitor.get(path, { method: 'POST', body })
}

/** @koa/multer leaves it in the context, multer itself in the request of Node. */
function fileOf(ctx: Koa.Context): expressMulter.UploadedFile | undefined {
  return ((ctx as { file?: unknown }).file ?? (ctx.req as { file?: unknown }).file) as never
}

const SHOW: Koa.Middleware = (ctx) => {
  ctx.body = { ...ctx.session }
}

async function data(visitor: Visitor): Promise<Record<string, unknown>> {
  return JSON.parse((await visitor.visit('/')).text) as never
}

describe('@koa/bodyparser', () => {
  it('reads a form above or below the session middleware, and the handler has both', async (test) => {
    for (const isAbove of [true, false]) {
      const { visitor } = await companionSite(test, {}, (app, sessions) => {
        if (isAbove) app.use(bodyParser()).use(sessions)
        else app.use(sessions).use(bodyParser())
        app.use((ctx, next) => {
          Object.assign(getSession(), ctx.request.body)
          return next()
        })
        app.use(SHOW)
      })
      const ada = visitor()
      await ada.post('/', { name: 'ada', city: 'London' })
      assert.deepEqual(await data(ada), { name: 'ada', city: 'London' })
    }
  })

  it('that refuses a body of a wrong form leaves the session alone', async (test) => {
    const { visitor } = await companionSite(test, {}, (app, sessions) => {
      app.use(sessions).use(bodyParser())
      app.use((ctx, next) => {
        if (ctx.method === 'POST') Object.assign(getSession(), ctx.request.body)
        return next()
      })
      app.use(SHOW)
    })
    const ada = visitor()
    await ada.post('/', { name: 'ada' })
    const page = await ada.get('/', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{ "name": ',
    })
    assert.deepEqual([page.status, page.cookies], [400, []])
    assert.deepEqual(await data(ada), { name: 'ada' })
  })
})

/** A storage engine of multer that keeps a hash, and is asked at each of the places where multer calls back. */
function hashing(note: (place: string) => void): expressMulter.StorageEngine {
  return {
    _handleFile(_req, file, done) {
      note('_handleFile')
      const hash = createHash('sha256')
      const sink = new Writable({
        write(piece: Buffer, _encoding, next) {
          note('a piece of the file')
          hash.update(piece)
          setImmediate(next)
        },
        final(next) {
          note('the end of the file')
          done(null, { filename: hash.digest('hex') })
          next()
        },
      })
      file.stream.pipe(sink)
    },
    _removeFile: (_req, _file, done) => done(null),
  }
}

const MULTERS: Record<string, (options: expressMulter.Options) => Koa.Middleware> = {
  '@koa/multer': (options) => multer(options).single('photo'),
  'multer of Express through koa-connect': (options) => koaConnect(expressMulter(options).single('photo')),
}

for (const [name, single] of Object.entries(MULTERS)) {
  describe(name, () => {
    it('takes a photo of some MB in memory; the handler has the session, and its changes are saved', async (test) => {
      const { visitor } = await companionSite(test, {}, (app, sessions) => {
        app.use(sessions)
        app.use((ctx, next) =>
          ctx.method === 'POST' ? single({ storage: multer.memoryStorage() })(ctx, next) : next(),
        )
        app.use((ctx, next) => {
          const file = fileOf(ctx)
          if (file) currentSession()['photo'] = { name: file.originalname, size: file.size }
          return next()
        })
        app.use(SHOW)
      })
      const ada = visitor()
      assert.equal((await upload(ada)).status, 200)
      assert.deepEqual(await data(ada), { photo: { name: 'photo.jpg', size: PHOTO.length } })
    })

    it('finds getSession() in destination, filename and fileFilter, and names files by it', async (test) => {
      const folder = temporaryDirectory()
      const filter: expressMulter.Options['fileFilter'] = (_req, file, done) => {
        currentSession()['filtered'] = file.originalname
        done(null, true)
      }
      const storage = multer.diskStorage({
        destination: (_req, _file, done) => done(null, getSession() ? folder : ''),
        filename: (_req, _file, done) => done(null, `${getSession().id}.jpg`),
      })
      const { visitor } = await companionSite(test, {}, (app, sessions) => {
        app.use(sessions)
        app.use((ctx, next) => (ctx.method === 'POST' ? single({ storage, fileFilter: filter })(ctx, next) : next()))
        app.use((ctx, next) => {
          const file = fileOf(ctx)
          if (file) currentSession()['isItsOwn'] = file.filename === `${getSession().id}.jpg`
          return next()
        })
        app.use(SHOW)
      })
      const ada = visitor()
      await upload(ada)
      assert.deepEqual(await data(ada), { filtered: 'photo.jpg', isItsOwn: true })
    })

    it('finds getSession() in each callback of a storage engine, for many visitors at once', async (test) => {
      const seen = new Map<Session | undefined, Set<string>>()
      const note = (place: string): void => {
        const session = getSession()
        seen.set(session, (seen.get(session) ?? new Set()).add(place))
      }
      const owners = new Set<Session>()
      const { visitor } = await companionSite(test, {}, (app, sessions) => {
        app.use(sessions)
        app.use((ctx, next) => {
          owners.add(ctx.session)
          return single({ storage: hashing(note) })(ctx, next)
        })
        app.use((ctx) => {
          assert.equal(getSession(), ctx.session)
          ctx.body = fileOf(ctx)?.filename
        })
      })
      const pages = await Promise.all(Array.from({ length: 4 }, () => upload(visitor())))
      const hash = createHash('sha256').update(PHOTO).digest('hex')
      assert.deepEqual(
        pages.map(({ text }) => text),
        Array(4).fill(hash),
      )
      assert.deepEqual(new Set(seen.keys()), owners)
      for (const places of seen.values())
        assert.deepEqual([...places].toSorted(), ['_handleFile', 'a piece of the file', 'the end of the file'])
    })
  })
}

describe('a storage that works through something made outside of the request', () => {
  it('has the session in callbacks that are bound', async (test) => {
    const jobs: (() => void)[] = []
    const scanner = setInterval(() => {
      for (const job of jobs.splice(0)) job()
    }, 1)
    test.after(() => clearInterval(scanner))
    const storage: expressMulter.StorageEngine = {
      _handleFile(_req, file, done) {
        file.stream.resume()
        jobs.push(
          bindSession(() => {
            currentSession()['scanned'] = file.originalname
            done(null, {})
          }),
        )
      },
      _removeFile: (_req, _file, done) => done(null),
    }
    const { visitor } = await companionSite(test, {}, (app, sessions) => {
      app.use(sessions)
      app.use((ctx, next) => (ctx.method === 'POST' ? multer({ storage }).single('photo')(ctx, next) : next()))
      app.use(SHOW)
    })
    const ada = visitor()
    await upload(ada)
    assert.deepEqual(await data(ada), { scanned: 'photo.jpg' })
  })

  it('an upload that multer refuses is an error of the client’s, and the session is saved', async (test) => {
    const { visitor } = await companionSite(test, {}, (app, sessions) => {
      app.use(sessions)
      app.use(async (ctx, next) => {
        if (ctx.method !== 'POST') return next()
        currentSession()['tries'] = Number(currentSession()['tries'] ?? 0) + 1
        try {
          await multer({ limits: { fileSize: MEGABYTE } }).single('photo')(ctx, next)
        } catch (error) {
          ctx.throw(413, error as Error)
        }
      })
      app.use(SHOW)
    })
    const ada = visitor()
    assert.equal((await upload(ada)).status, 413)
    assert.deepEqual(await data(ada), { tries: 1 })
  })
})
