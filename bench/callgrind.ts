/**
 * The parts of V8 that compile code and collect memory, by the names of their functions. They work now and then, and much
 * at once, so one slice of requests has more of them than the next.
 */
const UPKEEP = new RegExp(
  [
    'compiler::|maglev|turboshaft|interpreter::|baseline::|Assembler|Deoptimiz|JSHeapBroker|IdentityMap|LiveRange',
    'RegisterAlloc|FrameTranslation|SourcePosition|Bytecode(?:Analysis|Array)|Feedback|EhFrame|SafepointTable|RelocI',
    'Zone::|::Zone|_Rb_tree|Marking|MarkCompact|Scaveng|Sweep|IterateObjectCache|RootScav|FreeList|Heap::|PageMetadata',
    'GCTracer|MemoryAllocator|GlobalHandles|TracedHandles|EphemeronHash',
  ].join('|'),
)

/** The instructions that a file of callgrind counts, without those of V8's compilers and of its collector. */
export function instructionsIn(text: string): number {
  const names = new Map<string, string>()
  let isUpkeep = false
  let isOfCall = false
  let instructions = 0
  for (const line of text.split('\n')) {
    // A function is named in full once, and later by its number.
    const [, kind, id = '', name] = /^(c?fn)=\((\d+)\)(?: (.*))?/.exec(line) ?? []
    if (name !== undefined) names.set(id, name)
    if (kind === 'fn') isUpkeep = UPKEEP.test(names.get(id) ?? '')
    // What stands under a call was counted in the function that was called, too.
    else if (line.startsWith('calls=')) isOfCall = true
    else if (/^[\d+*-]/.test(line)) {
      if (!isOfCall && !isUpkeep) instructions += Number(line.slice(line.lastIndexOf(' ') + 1))
      isOfCall = false
    }
  }
  return instructions
}
