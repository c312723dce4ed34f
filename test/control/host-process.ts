import { testHost } from './control-test-setup.ts'
import { createHostStandIn } from './host-stand-in.ts'

// A process of its own with a host stand-in, to be killed: node host-process.ts URL ID NAME
const [, , url = '', hostId = '', friendlyName = ''] = process.argv
await testHost(url, createHostStandIn(), { identity: { hostId, friendlyName }, heartbeatIntervalMs: 500 })
