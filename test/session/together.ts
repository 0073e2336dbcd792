import { together } from '../support/runner/together.ts'

together(import.meta.dirname)
