/**
 * What is asked of Chromium: what it makes of cookies, forms and several tabs, by its own judgement. One process for all,
 * with one browser: to run a part, `npm test -- browser --test-name-pattern='restart'`.
 */
import './closed-browser.ts'
import './cookies.ts'
import './cross-origin.ts'
import './form-post.ts'
import './operations.ts'
import './site.ts'
import './two-processes.ts'
import './under-the-hood.ts'
