import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { hashPassword, isPassword } from './passwords.ts'

export interface User {
  id: string
  name: string
}

export interface DemoSignIn {
  id: string
  password: string
}

/** What the sign-in page gives away, so that everybody can try. A real site has a database instead of this file. */
const DEMO_SIGN_INS: readonly DemoSignIn[] = [
  { id: 'ada', password: 'analytical engine' },
  { id: 'grace', password: 'first compiler' },
]

/** The hashes of passwords that were changed, by the ids of their users. Remove it to have the first ones again. */
const CHANGED_FILE = '.sessions/changed-passwords.json'

/** As a database would hold them: made by `hashPassword`. */
const ACCOUNTS: readonly (User & { passwordHash: string })[] = [
  {
    id: 'ada',
    name: 'Ada Lovelace',
    passwordHash: 'tw1-XzGjByZGlIlTy2xM9w.mhvHYYRaWjj5hgjC9q8m-D5ZSHqqBOmTHPzfUgHAtL4',
  },
  {
    id: 'grace',
    name: 'Grace Hopper',
    passwordHash: 'M3jIo1GiuV_YlgUt3NPHBw.WzQBoo5mpGAaVCfdgd6fOXr3cYTE32s-GyvQ6rPUUDc',
  },
]

/** Of a password that nobody knows. */
const NOBODYS_HASH = 'n7dXrbxerxBG5lCCeJsQtw.NPDyJQT4Kc45vRl2YMqqb-fAih8Pe_PkUCRitQFE8Ww'

/**
 * The user with this name and password, or `undefined`. An unknown name takes as long as a wrong password, so that the
 * time does not tell who has an account. A real site also slows down whoever tries often.
 */
export async function checkPassword(id: string, password: string): Promise<User | undefined> {
  const account = ACCOUNTS.find((other) => other.id === id)
  const hash = account && ((await changedHashes())[id] ?? account.passwordHash)
  const isRight = await isPassword(password, hash ?? NOBODYS_HASH)
  return isRight ? account : undefined
}

export function findUser(id: string): User | undefined {
  return ACCOUNTS.find((account) => account.id === id)
}

/** What signs in still, because its password was not changed. */
export async function demoSignIns(): Promise<readonly DemoSignIn[]> {
  const changed = await changedHashes()
  return DEMO_SIGN_INS.filter(({ id }) => changed[id] === undefined)
}

export async function changePassword({ id }: User, password: string): Promise<void> {
  const changed = { ...(await changedHashes()), [id]: await hashPassword(password) }
  await mkdir(dirname(CHANGED_FILE), { recursive: true, mode: 0o700 })
  // Whole or not at all, also for another process that reads it.
  await writeFile(`${CHANGED_FILE}.new`, JSON.stringify(changed), { mode: 0o600 })
  await rename(`${CHANGED_FILE}.new`, CHANGED_FILE)
}

async function changedHashes(): Promise<Record<string, string>> {
  try {
    return JSON.parse(await readFile(CHANGED_FILE, 'utf8')) as Record<string, string>
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw error
  }
}
