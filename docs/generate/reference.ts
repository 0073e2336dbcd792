import { join } from 'node:path'
import { declarationsOf, type Declaration, type Member } from './declarations.ts'

/** Every name that users can import, in the order in which they need it. */
const CHAPTERS: Readonly<Record<string, readonly string[]>> = {
  'The middleware': ['session', 'Sessions', 'SessionOptions', 'Keys', 'CookieOptions', 'CacheOptions', 'Serializer'],
  'The session': [
    'SessionData',
    'Session',
    'SessionMembers',
    'RegenerateOptions',
    'DestroyOptions',
    'RememberOptions',
    'IdentifyOptions',
    'LimitedIdentifyOptions',
    'SessionCallback',
  ],
  'Sessions anywhere in the code': ['getSession', 'tryGetSession', 'tryGetSessionId', 'bindSession', 'runWithSession'],
  'Against forged requests': ['crossOrigin', 'CrossOriginOptions'],
  'Asking for the password again': ['requireProof', 'RequireProofOptions', 'RequiredProof'],
  Errors: ['SessionError', 'isSessionError', 'SessionErrorCode'],
  'The sessions of a user': ['SessionSummary'],
  'Counters and messages': ['SessionStats', 'DiagnosticMessage'],
  'The stores': [
    'fileStore',
    'FileStoreOptions',
    'redisStore',
    'redisShards',
    'RedisServers',
    'RedisShardsOptions',
    'RedisStoreOptions',
    'RedisClient',
    'IoredisClient',
    'NodeRedisClient',
    'memcachedStore',
    'MemcachedStoreOptions',
    'MemcachedClient',
    'postgresStore',
    'PostgresStoreOptions',
    'PostgresPool',
    'mysqlStore',
    'MysqlStoreOptions',
    'MysqlPool',
    'sqliteStore',
    'SqliteStoreOptions',
    'SqliteConnection',
    'movingStore',
    'MovingStoreOptions',
    'memoryStore',
    'MemoryStoreOptions',
    'nullStore',
    'fromExpressStore',
    'ExpressStoreOptions',
    'ExpressSessionStore',
    'OneProcessStore',
  ],
  'A store of your own': [
    'Store',
    'Found',
    'Saved',
    'Deleted',
    'SubjectIndex',
    'Listener',
    'Watch',
    'Link',
    'storeConformance',
    'ConformanceOptions',
    'ConformanceTest',
  ],
  'For the tests of an application': ['signIn', 'SignedIn', 'BrowserCookie', 'Proved', 'readSession', 'fakeSession'],
  'For sessions of other libraries': [
    'fromKoaSession',
    'KoaSessionSource',
    'fromKoaGenericSession',
    'KoaGenericSessionSource',
    'fromExpressSession',
    'ExpressSessionSource',
    'fromFlaskSession',
    'FlaskSessionSource',
    'Take',
    'Place',
    'OldSessions',
    'OldVisit',
    'OldSession',
  ],
  Units: ['Milliseconds', 'Instant', 'Key', 'Version', 'SubjectName', 'Awaitable'],
}

const INTRODUCTION = `# API reference

Every name that \`koa-server-session\` exports, as its declarations and their comments tell; written by \`npm run docs\`. The guides are in the [index](README.md).
`

/** The compiled declarations of what can be imported. */
export const ENTRIES: readonly string[] = [
  'index.d.ts',
  'tools/conformance.d.ts',
  'tools/testing.d.ts',
  'tools/moving.d.ts',
]

/** All that can be imported, from the compiled declarations in this folder. */
export function publicDeclarations(compiled: string): Declaration[] {
  return ENTRIES.flatMap((file) => declarationsOf(join(compiled, file)))
}

/** The page `docs/api.md`. Throws if a name is in no chapter, or a chapter has a name that is no more. */
export function referencePage(compiled: string): string {
  const declarations = new Map(publicDeclarations(compiled).map((declaration) => [declaration.name, declaration]))
  const placed = Object.values(CHAPTERS).flat()
  const missing = [...declarations.keys()].filter((name) => !placed.includes(name))
  if (missing.length > 0)
    throw new Error(`Give ${missing.join(', ')} a place in CHAPTERS of docs/generate/reference.ts.`)
  const entryOf = (name: string): Declaration => {
    const declaration = declarations.get(name)
    if (!declaration) throw new Error(`${name} is not exported any more: take it out of docs/generate/reference.ts.`)
    return declaration
  }
  const links = new Map(placed.map((name) => [name, `#${anchorOf(entryOf(name))}`]))

  const contents = Object.entries(CHAPTERS).map(
    ([chapter, names]) => `- ${chapter}: ${names.map((name) => `[\`${name}\`](${links.get(name)})`).join(', ')}`,
  )
  const chapters = Object.entries(CHAPTERS).map(
    ([chapter, names]) => `## ${chapter}\n\n${names.map((name) => entry(entryOf(name), links)).join('\n\n')}`,
  )
  return `${INTRODUCTION}\n${contents.join('\n')}\n\n${chapters.join('\n\n')}\n`
}

/** As GitHub makes it of the heading. */
function anchorOf({ kind, name }: Declaration): string {
  return `${kind}-${name.toLowerCase()}`
}

function entry(declaration: Declaration, links: ReadonlyMap<string, string>): string {
  const { kind, name, signature, documentation, members } = declaration
  const others = new Map([...links].filter(([other]) => other !== name))
  // Of an interface without type parameters or parents the heading has said it all.
  const says = signature !== `${kind} ${name}`
  return [
    `### ${kind} ${name}`,
    says && `\`\`\`ts\n${signature}\n\`\`\``,
    linked(documentation, others),
    members.map((member) => memberItem(member, others)).join('\n'),
  ]
    .filter(Boolean)
    .join('\n\n')
}

function memberItem({ signatures, documentation }: Member, links: ReadonlyMap<string, string>): string {
  const text = linked(documentation, links).replaceAll('\n', '\n  ').replace(/ +$/gm, '')
  const code = signatures.map((signature) => `**\`${signature.replace(/\s+/g, ' ')}\`**`).join('<br>')
  return `- ${code}${text && `<br>\n  ${text}`}`
}

/** With each name in code made a link to its entry, outside of blocks of code. */
function linked(markdown: string, links: ReadonlyMap<string, string>): string {
  return markdown
    .split(/(^```.*?^```$)/ms)
    .map((part, index) =>
      index % 2 === 1
        ? part
        : part.replace(/(?<!\[)`(\w+)(\(\))?`/g, (code, name: string) =>
            links.has(name) ? `[${code}](${links.get(name)})` : code,
          ),
    )
    .join('')
}
