const EURO = new Intl.NumberFormat('en', { style: 'currency', currency: 'EUR' })

export function price(cents: number): string {
  return EURO.format(cents / 100)
}
