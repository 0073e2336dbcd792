/** Where the page is, and what belongs to it. */
export const HOOD = '/under-the-hood'
export const EVENTS: string = `${HOOD}/events`
export const SCRIPT: string = `${HOOD}/page.js`
export const STYLE: string = `${HOOD}/page.css`

/** What everybody gets alike, without a session. */
export const ASSETS: readonly string[] = [SCRIPT, STYLE]

/** What the requests of the experiments ask for, here and at the site beside. */
export const PART: string = `${HOOD}/part`
export const SLOW: string = `${HOOD}/slow`
export const WHO: string = `${HOOD}/who`

/** In which headers a racing request says which race it is in, and which number it has. */
export const RACE_HEADER = 'X-Race'
export const NUMBER_HEADER = 'X-Number'

export const SOMEBODY = 'somebody'
export const NOBODY = 'nobody'
