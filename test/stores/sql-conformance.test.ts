import { after, before, describe, it } from 'node:test'
import { storeConformance } from '../../src/tools/conformance.ts'
import type { Store } from '../../src/store.ts'
import { SQL_PLACES, type SqlPlace } from '../support/servers/sql-places.ts'

for (const [name, start] of Object.entries(SQL_PLACES)) {
  describe(`the contract on ${name}`, () => {
    let place: SqlPlace
    const tables = new Map<Store, string>()

    before(async () => {
      place = await start()
    })
    after(() => place.close())

    storeConformance(it, {
      name,
      create() {
        const table = `t${tables.size}`
        const store = place.open(table)
        tables.set(store, table)
        return store
      },
      peer: (store) => place.open(tables.get(store) as string),
    })
  })
}
