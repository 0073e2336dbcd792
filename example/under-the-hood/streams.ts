import { PassThrough } from 'node:stream'
import type { Context } from 'koa'
import { getSession, tryGetSessionId, type Key } from 'koa-server-session'
import type { Experiment, Journal, News, Result, Totals } from './journal.ts'
import type { RecordReader } from './record.ts'
import { groupHtml, recordText, resultHtml, sentenceOf, totalsText } from './views.ts'

/** How often something is sent over a stream that has nothing to say, so that no proxy takes it for dead. */
const PULSE = 20_000
/** What a reader may leave unread, in bytes. */
const MOST_UNREAD = 1_000_000

/** The streams of server-sent events to the tabs that show the page. */
export class Streams {
  readonly #journal: Journal
  readonly #reader: RecordReader | undefined
  readonly #open = new Set<() => void>()
  #isClosed = false

  constructor(journal: Journal, reader: RecordReader | undefined) {
    this.#journal = journal
    this.#reader = reader
  }

  /** Ends all streams. */
  close(): void {
    this.#isClosed = true
    for (const end of this.#open) end()
  }

  /** Answers with a stream, which ends with the session, with the site, or when the tab is closed. */
  begin(ctx: Context): void {
    const stream = new PassThrough()
    ctx.type = 'text/event-stream'
    ctx.set('Cache-Control', 'no-store')
    ctx.set('X-Accel-Buffering', 'no') // nginx would wait for more
    ctx.body = stream
    const id = tryGetSessionId()
    if (id === undefined || getSession().isNew) return void stream.end(event('over', {})) // the browser comes again otherwise
    if (this.#isClosed) return void stream.end()
    this.#follow(id, stream)
  }

  #follow(id: Key, stream: PassThrough): void {
    const { signal } = getSession()
    const say = (name: string, data: object): void => {
      if (stream.writableLength > MOST_UNREAD) end()
      else stream.write(event(name, data))
    }
    const showRecord = this.#recordShower(id, (record) => say('record', record))
    const tell = (news: News): void => {
      if ('result' in news) return say('result', { ...shown(news.result), sentence: sentenceOf(news.result) })
      const { group, totals } = news
      say('line', { name: group.name, html: groupHtml(group).text, ...summed(totals) })
      void showRecord()
    }
    const end = (): void => {
      // Before the stream has ended: a write after that would be an error.
      stopWatching()
      clearInterval(pulse)
      signal.removeEventListener('abort', end)
      this.#open.delete(end)
      stream.end()
    }
    const stopWatching = this.#journal.watch(id, tell)
    const pulse = setInterval(() => stream.write(':\n\n'), PULSE).unref()
    signal.addEventListener('abort', end)
    this.#open.add(end)
    stream.once('close', end) // Koa destroys it when the visitor goes away
    stream.write('retry: 1000\n\n')
    // All that the page shows, because it may come from another process, and more may have happened since.
    const { groups, totals, results } = this.#journal.read(id)
    say('journal', {
      html: groups
        .toReversed()
        .map(groupHtml)
        .map(({ text }) => text)
        .join(''),
      ...summed(totals),
    })
    for (const result of results.values()) say('result', shown(result))
    void showRecord()
  }

  /** However much happens at once, the record is read once, and then once more. */
  #recordShower(id: Key, show: (record: ReturnType<typeof recordText>) => void): () => Promise<void> {
    let state: 'idle' | 'reading' | 'again' = 'idle'
    return async () => {
      if (!this.#reader) return
      if (state !== 'idle') return void (state = 'again')
      do {
        state = 'reading'
        show(recordText(await this.#reader.read(id).catch(() => 'unknown' as const)))
      } while ((state as string) === 'again')
      state = 'idle'
    }
  }
}

function summed(totals: Totals): { requests: number; totals: string } {
  return { requests: totals.requests, totals: totalsText(totals) }
}

function shown(result: Result): { of: Experiment; html: string } {
  return { of: result.of, html: resultHtml(result).text }
}

function event(name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}
