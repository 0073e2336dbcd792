/** What the scripts and the link run; a test gives a user exactly these rights and sees that nothing is refused. */
const COMMANDS =
  'get getrange set setrange del exists pexpire time eval evalsha publish subscribe unsubscribe zadd zrem zrange ' +
  'zrangebyscore zscore zscan scan ping select hello info'

/** What ioredis, the scripts and the links ask of a Cluster besides. */
const COMMANDS_OF_CLUSTER = 'cluster|slots cluster|info cluster|nodes cluster|myid pubsub|numsub readonly'

/** The rights that a user of the server needs, as `ACL SETUSER` takes them. */
export function rightsFor(prefix: string, kind: 'single' | 'cluster'): string {
  const commands = kind === 'cluster' ? `${COMMANDS} ${COMMANDS_OF_CLUSTER}` : COMMANDS
  return [`~${prefix}*`, `&${prefix}changes*`, ...commands.split(' ').map((name) => `+${name}`)].join(' ')
}
