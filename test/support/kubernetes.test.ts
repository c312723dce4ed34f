import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startKubernetes } from './kubernetes.ts'

test('startKubernetes answers, applies strictly, and enforces Pod Security', { timeout: 600_000 }, async () => {
  const started = performance.now()
  await using kubernetes = await startKubernetes()
  console.log(`ready after ${((performance.now() - started) / 1000).toFixed(1)} s`)
  assert.match(await kubernetes.kubectl('version'), /Server Version: v1\.34\.2/)
  await kubernetes.createNamespace('locked', 'restricted')
  const pod = (spec: object) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'locked' }, spec })
  await assert.rejects(
    kubernetes.apply([pod({ containers: [{ name: 'c', image: 'i' }] })], { dryRun: true }),
    /violates PodSecurity "restricted:latest"/,
  )
  await assert.rejects(kubernetes.apply([pod({ containres: [] })], { dryRun: true }), /containres/)
  const map = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'm', namespace: 'locked', labels: { 'app.kubernetes.io/instance': 'r' } },
  }
  await kubernetes.apply([map], { dryRun: true })
  assert.deepEqual(await kubernetes.objectsOf('r'), [])
  await kubernetes.apply([map])
  assert.deepEqual(await kubernetes.objectsOf('r'), ['configmap/m'])
})
