import { isPassword } from './passwords.ts'

export interface User {
  id: string
  name: string
}

/** What the sign-in page gives away, so that everybody can try. A real site has a database instead of this file. */
export const DEMO_SIGN_INS = [
  { id: 'ada', password: 'analytical engine' },
  { id: 'grace', password: 'first compiler' },
] as const

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
  const isRight = await isPassword(password, account?.passwordHash ?? NOBODYS_HASH)
  return isRight ? account : undefined
}

export function findUser(id: string): User | undefined {
  return ACCOUNTS.find((account) => account.id === id)
}
