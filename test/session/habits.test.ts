import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { visits } from '../support/visit.ts'
import { collectWarnings } from '../support/warnings.ts'

describe('a member that only sessions of other libraries have', () => {
  it('is a name for data, and a warning tells once what to write if it was not meant as data', async (test) => {
    const warnings = await collectWarnings(test)
    for (const { session } of [visits().stranger(), visits().stranger()]) {
      session['maxAge'] = 5
      assert.equal(session['maxAge'], 5)
      for (const name of ['cookie', 'populated', 'touch', 'manuallyCommit', 'views'])
        assert.equal(session[name], undefined)
    }
    const heard = await warnings()
    assert.deepEqual(
      heard.map(({ code }) => code),
      heard.map(() => 'SESSION_NO_SUCH_MEMBER'),
    )
    const said = heard.map(({ message }) => message)
    assert.equal(said.length, 5)
    assert.match(said[0] ?? '', /^session\.maxAge is no member .*session\.remember\(milliseconds\)/)
    assert.match(said[1] ?? '', /^session\.cookie is no member .*session\.remember\(milliseconds\)/)
    assert.match(said[2] ?? '', /^session\.populated .*Object\.keys\(session\)\.length/)
    assert.match(said[3] ?? '', /^session\.touch .*not needed/)
    assert.match(said[4] ?? '', /^session\.manuallyCommit .*await session\.save\(\)/)
  })

  it('that holds data of somebody’s is read without a word', async (test) => {
    const all = visits()
    const { session } = await all.returning(await all.stored({ resetMaxAge: 'a button' }))
    const warnings = await collectWarnings(test)
    assert.equal(session['resetMaxAge'], 'a button')
    assert.deepEqual(await warnings(), [])
  })
})
