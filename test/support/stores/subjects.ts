import { keyringOf } from '../../../src/http/keyring.ts'
import { subjectNames } from '../../../src/session/subject-names.ts'
import { KEY } from '../sites/http.ts'

/** The names under which a site with these keys and this cookie notes a user's sessions. */
export function namesOf(user: string, cookieName = 'sid', keys: readonly string[] = [KEY]): readonly string[] {
  return subjectNames(cookieName, keyringOf(keys).derive('subjects'))(user)
}
