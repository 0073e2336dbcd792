import { randomBytes } from 'node:crypto'
import { wrong } from '../usage.ts'
import { DONE, type Command } from '../command.ts'

const SECRET_BYTES = 32
const MOST = 1000

export const secret: Command = {
  summary: 'make a signing secret for `keys`: 256 random bits',
  usage: '[--count N]',
  options: ['count'],
  operands: { least: 0, most: 0, what: '' },
  details: `To rotate: put a new one first in \`keys\` and leave the old one behind it, until
sessions.stats().resigned shows that no cookie is signed with the old one any more.`,
  async run({ values: { count = '1' }, terminal }) {
    if (!/^\d{1,4}$/.test(count) || Number(count) < 1 || Number(count) > MOST) {
      throw wrong(`--count must be a number from 1 to ${MOST}.`)
    }
    for (let made = 0; made < Number(count); made++) {
      await terminal.line(randomBytes(SECRET_BYTES).toString('base64url'))
    }
    return DONE
  },
}
