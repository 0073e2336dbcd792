import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'

const DAY = 86_400_000

/** A key and a certificate for one host name that nobody vouches for, good for a day (X.509 in DER, RFC 5280). */
export function selfSigned(host: string): { key: string; cert: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const name = sequence(set(sequence(identifier(0x55, 0x04, 0x03), der(0x0c, Buffer.from(host))))) // commonName
  const ecdsaWithSha256 = sequence(identifier(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02))
  const alternativeNames = octets(sequence(der(0x82, Buffer.from(host))))
  const contents = sequence(
    der(0xa0, integer(Buffer.from([2]))), // version 3
    integer(Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ecdsaWithSha256,
    name,
    sequence(time(Date.now() - DAY), time(Date.now() + DAY)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(sequence(identifier(0x55, 0x1d, 0x11), alternativeNames))),
  )
  const signature = sign('sha256', contents, privateKey)
  const certificate = sequence(contents, ecdsaWithSha256, der(0x03, Buffer.from([0]), signature))
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    cert: `-----BEGIN CERTIFICATE-----\n${certificate.toString('base64')}\n-----END CERTIFICATE-----\n`,
  }
}

/** Tag, length, contents. */
function der(tag: number, ...parts: Buffer[]): Buffer {
  const contents = Buffer.concat(parts)
  const { length } = contents
  const head =
    length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from(head), contents])
}

function sequence(...parts: Buffer[]): Buffer {
  return der(0x30, ...parts)
}

function set(...parts: Buffer[]): Buffer {
  return der(0x31, ...parts)
}

function integer(value: Buffer): Buffer {
  return der(0x02, value)
}

function octets(value: Buffer): Buffer {
  return der(0x04, value)
}

function identifier(...bytes: number[]): Buffer {
  return der(0x06, Buffer.from(bytes))
}

/** YYMMDDHHMMSSZ */
function time(instant: number): Buffer {
  return der(0x17, Buffer.from(`${new Date(instant).toISOString().replace(/\D/g, '').slice(2, 14)}Z`))
}
