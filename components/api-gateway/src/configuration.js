/**
 * @typedef {object} Configuration
 * @property {string} audience the audience of the token that is traded at STS
 * @property {string} region
 * @property {string | undefined} roleArn
 * @property {{ sts?: string, bedrock?: string, s3?: string }} endpoints instead of AWS's own
 * @property {string} modelId
 * @property {string | undefined} bucket
 */

/**
 * @param {Record<string, string | undefined>} environment
 * @returns {Configuration} An empty variable counts as unset.
 */
export function readConfiguration(environment) {
  const read = (name) => environment[name]?.trim() || undefined
  return {
    audience: read('HERALD_AUDIENCE') ?? 'sts.amazonaws.com',
    region: read('AWS_REGION') ?? 'us-east-1',
    roleArn: read('AWS_ROLE_ARN'),
    endpoints: {
      sts: read('AWS_ENDPOINT_URL_STS'),
      bedrock: read('AWS_ENDPOINT_URL_BEDROCK_RUNTIME'),
      s3: read('AWS_ENDPOINT_URL_S3'),
    },
    modelId: read('BEDROCK_MODEL_ID') ?? 'amazon.nova-lite-v1:0',
    bucket: read('S3_BUCKET'),
  }
}
