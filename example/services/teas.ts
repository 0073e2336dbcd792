export interface Tea {
  id: string
  name: string
  description: string
  cents: number
}

export const TEAS: readonly Tea[] = [
  { id: 'sencha', name: 'Sencha', description: 'Steamed green tea from Shizuoka, fresh as cut grass.', cents: 940 },
  { id: 'oolong', name: 'Tie Guan Yin', description: 'Half-oxidised oolong from Anxi, with a scent of orchids.', cents: 1280 },
  { id: 'assam', name: 'Assam', description: 'Malty black tea that stands up to milk.', cents: 720 },
  { id: 'rooibos', name: 'Rooibos', description: 'Red bush from the Cederberg; no caffeine, for late evenings.', cents: 650 },
  { id: 'jasmine', name: 'Jasmine pearls', description: 'Hand-rolled, and scented for five nights.', cents: 1490 },
  { id: 'mint', name: 'Nana mint', description: 'Leaves from Morocco, dried in the shade.', cents: 480 },
]

export function findTea(id: string): Tea | undefined {
  return TEAS.find((tea) => tea.id === id)
}
