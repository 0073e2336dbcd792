/** Texts of values that nobody stored, but that somebody who can write to the store may put there. */

function list(length: number, part: (index: number) => string): string {
  return Array.from({ length }, (_, index) => part(index)).join(',')
}

function nested(opening: string, closing: string, depth: number): string {
  return `${opening.repeat(depth)}1${closing.repeat(depth)}`
}

/** Each of them has few characters and stands for much work, or for much memory, if it is read without care. */
export const HOSTILE: Readonly<Record<string, string>> = {
  'references that fan out': `{"~":[${list(28, (n) => `[${n + 1},${n + 1}]`)},1]}`,
  'references that fan out to an object': `{"~":[${list(28, (n) => `{"a":${n + 1},"b":${n + 1}}`)},["Date",""]]}`,
  'references that fan out, of plain objects': `{"~":[${list(28, (n) => `{"a":${n + 1},"b":${n + 1}}`)},1]}`,
  'references of Maps that fan out': `{"~":[${list(28, (n) => `["Map",${n + 1},${n + 1}]`)},1]}`,
  'references of Sets that fan out': `{"~":[${list(28, (n) => `["Set",${n + 1},[${n + 1}]]`)},1]}`,
  'references that fan out in front of a cycle': `{"~":[${list(28, (n) => `[${n + 1},${n + 1},0]`)},1]}`,
  'each refers to all': `{"~":[${list(30, () => `[${list(30, (n) => String(n))}]`)}]}`,
  'many references to one long text': `{"~":[[${list(9000, () => '1')}],"${'x'.repeat(20_000)}"]}`,
  'many references to one long array': `{"~":[[${list(9000, () => '1')}],[${list(9000, () => '2')}],5]}`,
  'many references to one long number': `{"~":[[${list(9000, () => '1')}],["BigInt","${'9'.repeat(20_000)}"]]}`,
  'many references to many bytes': `{"~":[[${list(9000, () => '1')}],["Uint8Array",2],["ArrayBuffer","${'A'.repeat(20_000)}"]]}`,
  'an array of four thousand million items': '{"~":[[-7,4294967295]]}',
  'an array of thirty million items': '{"~":[[-7,30000000]]}',
  'an array with items far apart': '{"~":[[-7,4294967295,0,1,4294967294,1],5]}',
  'many long arrays': `{"~":[[${list(500, (n) => `${n + 1}`)}],${list(500, () => '[-7,50000000]')}]}`,
  'a Buffer of a length': '{"~":[["Buffer",1],[2],{"length":3},4000000000]}',
  'a Buffer of a number': '{"~":[["Buffer",1],[2],4000000000]}',
  'a Buffer inline': '{"~":[["Buffer",[{"length":4000000000}]]]}',
  'a typed array of a length': '{"~":[["Uint8Array",1],4000000000]}',
  'a typed array longer than its memory': '{"~":[["Uint8Array",1,0,4000000000],["ArrayBuffer","AAAA"]]}',
  'an ArrayBuffer of a length': '{"~":[["ArrayBuffer",4000000000]]}',
  'a boxed value that refers to itself': '{"~":[["Object",0]]}',
  'Buffers that refer to themselves': '{"~":[["Buffer",0]]}',
  'a number with many digits': `{"~":[["BigInt","${'9'.repeat(60_000)}"]]}`,
  'a BigInt of something else': '{"~":[["BigInt",{"a":1}]]}',
  'a hexadecimal BigInt': '{"~":[["BigInt","0xff"]]}',
  'a RegExp whose class is compiled for long': JSON.stringify({ '~': [['RegExp', `[${'\\w'.repeat(30_000)}]`, 'iu']] }),
  'a RegExp of properties': JSON.stringify({ '~': [['RegExp', `[${'\\p{L}'.repeat(12_000)}]`, 'u']] }),
  'a RegExp of emoji': JSON.stringify({ '~': [['RegExp', '\\p{RGI_Emoji}'.repeat(14), 'v']] }),
  'many RegExps': JSON.stringify({
    '~': [
      Array.from({ length: 500 }, (_, index) => index + 1),
      ...Array.from({ length: 500 }, (_, index) => ['RegExp', `${index}[${'\\w'.repeat(40)}]`, 'iu']),
    ],
  }),
  'a URL whose host takes long to translate': JSON.stringify({
    '~': [
      ['URL', `http://${Array.from({ length: 20_000 }, (_, index) => String.fromCharCode(0x4e00 + index)).join('')}/`],
    ],
  }),
  'a Set of very many numbers': `{"~":[["Set",${list(20_000, (n) => String(n + 1))}],${list(20_000, (n) => String(n * 7))}]}`,
  'a Set of one number again and again': `{"~":[["Set",${list(20_000, () => '1')}],5]}`,
  'a Map from very many BigInts': `{"~":[["Map",${list(20_000, (n) => `${n + 1},1`)}],${list(20_000, (n) => `["BigInt","${n}"]`)}]}`,
  'deep arrays': `{"~":[${list(20_000, (n) => `[${n + 1}]`)},1]}`,
  'deep Maps': `{"~":[${list(20_000, (n) => `["Map",${n + 1},${n + 1}]`)},1]}`,
  'deep, and just allowed': `{"~":[${list(990, (n) => `[${n + 1}]`)},["Date",""]]}`,
  'deep arrays, plain': nested('[', ']', 100_000),
  'deep objects, plain': nested('{"a":', '}', 20_000),
  'deep objects, plain, and just allowed': nested('{"a":', '}', 990),
  'many objects, plain': `[${list(20_000, () => '{}')}]`,
  'many names, plain': `{${list(8000, (n) => `"n${n}":1`)}}`,
}
