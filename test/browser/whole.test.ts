/** What Chromium's headless shell does not have: pages that are kept in memory, and third-party cookies blocked. */
import './going-back.ts'
import './third-party.ts'
