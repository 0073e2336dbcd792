import { after, before, describe, it } from 'node:test'
import { storeConformance } from '../../src/tools/conformance.ts'
import { fromExpressStore, type ExpressSessionStore, type OneProcessStore } from '../../src/stores/express.ts'
import { EXPRESS_PLACES, type ExpressPlace } from '../support/stores/express-stores.ts'

// One warning for each store would be hundreds here.
process.removeAllListeners('warning')

for (const [name, make] of Object.entries(EXPRESS_PLACES)) {
  describe(`fromExpressStore with ${name} keeps the contract within one process`, () => {
    let place: ExpressPlace
    before(async () => {
      place = await make()
    })
    after(() => place.close())

    const adapted = new WeakMap<object, ExpressSessionStore>()
    const adapt = (store: ExpressSessionStore): OneProcessStore => {
      const own = fromExpressStore(store, { deadline: 10_000 })
      adapted.set(own, store)
      return own
    }
    // All cases, those about races too; but both handles are of this process, and so on the same store.
    storeConformance(it, {
      name,
      create: async () => adapt(await place.open()),
      peer: (store) => adapt(adapted.get(store)!),
    })
  })
}
