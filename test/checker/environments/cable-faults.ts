import type { Milliseconds } from '../../../src/units.ts'
import type { FaultyCable } from '../proxy.ts'
import type { Random } from '../random.ts'
import { sleep, type Fault } from './environment.ts'

/** A cable, and how much of each fault of cables strikes this one. */
export interface Struck {
  readonly cable: FaultyCable
  readonly scene: string
  readonly share: number
}

/** How hard cables are struck. */
export interface Blows {
  /** The weights of the faults, for all cables together. */
  readonly weights: {
    readonly hole: number
    readonly oneConnection: number
    readonly delay: number
    readonly cut: number
  }
  /** How long a black hole lasts at most. */
  readonly longestHole: Milliseconds
  /** How late an answer is, if it is not only a little late. */
  readonly longDelay: Milliseconds
}

/** A fault of each of these cables, which is whole again afterwards. */
export function onEach(
  struck: readonly Struck[],
  name: string,
  weight: number,
  run: (cable: FaultyCable) => unknown,
): Fault[] {
  return struck.map(({ cable, scene, share }) => ({
    name,
    weight: weight * share,
    scene,
    async run() {
      await run(cable)
      cable.heal()
    },
  }))
}

/** What happens to the cables of every server. */
export function cableFaults(
  struck: readonly Struck[],
  random: Random,
  { weights, longestHole, longDelay }: Blows,
): Fault[] {
  return [
    ...onEach(struck, 'black hole', weights.hole, async (cable) => {
      cable.blackHole()
      await sleep(random.between(100, longestHole))
    }),
    ...onEach(struck, 'black hole, one connection', weights.oneConnection, async (cable) => {
      cable.blackHoleOne()
      await sleep(random.between(100, longestHole))
    }),
    ...onEach(struck, 'delayed replies', weights.delay, async (cable) => {
      cable.delay(random.chance(0.6) ? 25 : longDelay)
      await sleep(random.between(200, 1500))
    }),
    ...onEach(struck, 'connection cut', weights.cut, (cable) => cable.cutOne()),
  ]
}
