import { execFile } from 'node:child_process'
import { isIP } from 'node:net'
import { promisify } from 'node:util'
import { commandOf, type Requirement } from '../servers/requirement.ts'

export const requires: Requirement = { commands: ['openssl'], debianPackage: 'openssl' }

/** A key and a certificate for one host, by its name or address, that no authority has signed, good for a day; both in PEM. */
export async function selfSigned(host: string): Promise<{ key: string; cert: string }> {
  const names = ['-subj', `/CN=${host}`, '-addext', `subjectAltName=${isIP(host) ? 'IP' : 'DNS'}:${host}`]
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1']
  const { stdout: pem } = await promisify(execFile)(commandOf(requires), [...request, ...names, '-keyout', '-'])
  return { key: pem, cert: pem }
}
