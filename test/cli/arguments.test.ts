import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseCommandLine } from '../../src/cli/arguments.ts'
import { COMMANDS } from '../../src/cli/commands/index.ts'
import { assertId } from '../../src/cli/usage.ts'
import { newKey } from '../support/stores/records.ts'
import { discreet } from '../support/secrecy.ts'

const id = newKey()
const cookie = `${'Pi-j92CNaIT-oboIwI4V8ncwt4jjnEc-u3csSrO4oh0'}.${'4lh5mTqD9utnfHd0g9xWQi87fahwMrV1aCiuMj3WQw8'}`

describe('a command line', () => {
  it('may have its options before, between and behind its operands', () => {
    const { command, values, operands } = parseCommandLine(['-s', 'redis:', 'revoke', id, '--json', id], COMMANDS)
    assert.equal(command?.name, 'revoke')
    assert.deepEqual([values.store, values.json, values.yes, operands], ['redis:', true, false, [id, id]])
  })

  it('may name a user by anything, something like a cookie and something like an option included', () => {
    for (const name of [cookie, '--all', 'ada=x']) {
      const { values } = parseCommandLine(['list', `--subject=${name}`], COMMANDS)
      assert.equal(values.subject, name)
    }
    assert.equal(parseCommandLine(['list', '--subject', cookie], COMMANDS).values.subject, cookie)
  })

  it('may ask for help in several ways', () => {
    for (const args of [['help'], ['--help'], ['-h']]) assert.equal(parseCommandLine(args, COMMANDS).values.help, true)
    for (const args of [
      ['help', 'show'],
      ['show', '--help'],
      ['show', '-h'],
    ]) {
      const { command, values } = parseCommandLine(args, COMMANDS)
      assert.deepEqual([command?.name, values.help], ['show', true])
    }
  })
})

describe('a wrong command line', () => {
  const cases: [about: string, args: string[], sentence: RegExp][] = [
    ['an unknown command', ['lsit'], /"lsit" is not a command\. Did you mean list\?/],
    ['the beginning of a command', ['rev'], /Did you mean revoke\?/],
    ['a word that resembles nothing', ['frobnicate'], /"frobnicate" is not a command\. See --help/],
    ['an unknown option', ['secret', '--cuont', '2'], /no option --cuont\. Did you mean --count\?/],
    ['an option of another command', ['list', '--yes'], /list takes no --yes/],
    ['an option without its value', ['list', '--store'], /--store needs a value/],
    ['an option whose value is the next option', ['list', '--store', '--json'], /--store needs a value/],
    ['a value that is not wanted', ['list', '--json=yes'], /--json takes no value/],
    ['no id', ['show'], /show needs one id/],
    ['too many ids', ['show', id, id], /show takes one id/],
    ['an operand where there is none', ['list', 'ada'], /list takes options only/],
    ['a cookie instead of an id', ['show', cookie], /secret.*public id/],
    ['a cookie with its name', ['revoke', `sid=${cookie}`], /secret.*public id/],
    ['the id in the cookie', ['revoke', cookie.slice(0, 43)], /secret.*public id/],
    ['an id in the cookie that begins with a dash', ['revoke', `-${cookie.slice(1, 43)}`], /secret.*public id/],
  ]
  for (const [about, args, sentence] of cases) {
    it(`is one with ${about}: it says so, and what to do`, () => {
      assert.throws(
        () => parseCommandLine(args, COMMANDS),
        (error: Error) => {
          assert.match(error.message, sentence)
          return discreet('ERR_SESSION_OPTION', 'oboIwI4V', '4lh5mTqD')(error)
        },
      )
    })
  }
})

describe('an id', () => {
  it('is a public id or its beginning, and nothing else', () => {
    assertId(id)
    assertId(id.slice(0, 8))
    for (const other of ['', 'ada', id.slice(0, 7), id.toUpperCase(), `${id}0`]) {
      assert.throws(() => assertId(other), /64 hexadecimal digits/)
    }
  })
})
