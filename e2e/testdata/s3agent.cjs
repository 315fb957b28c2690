'use strict';
// The AWS SDK for JavaScript v3 as a client of the matrix: one step, named by the
// argument; what it is about is in the environment. Its packages are found by
// NODE_PATH.
const fs = require('fs');
const { pipeline } = require('stream/promises');
const s3 = require('@aws-sdk/client-s3');
const { Upload } = require('@aws-sdk/lib-storage');

const { B, K, F, D, P } = process.env;
const client = new s3.S3Client({});
const of = { Bucket: B, Key: K };

const steps = {
  put: () => client.send(new s3.PutObjectCommand({ ...of, Body: fs.readFileSync(F) })),
  stream: () => client.send(new s3.PutObjectCommand({ ...of, Body: fs.createReadStream(F), ContentLength: fs.statSync(F).size })),
  multi: () => new Upload({ client, params: { ...of, Body: fs.createReadStream(F) } }).done(),
  get: async () => pipeline((await client.send(new s3.GetObjectCommand(of))).Body, fs.createWriteStream(D)),
  head: async () => console.log((await client.send(new s3.HeadObjectCommand(of))).ContentLength),
  part: async () => pipeline((await client.send(new s3.GetObjectCommand({ ...of, Range: 'bytes=100-199' }))).Body, fs.createWriteStream(D)),
  list: async () => {
    const answer = await client.send(new s3.ListObjectsV2Command({ Bucket: B, Prefix: P }));
    for (const o of answer.Contents || []) console.log(o.Key);
  },
  delete: () => client.send(new s3.DeleteObjectCommand(of)),
};

steps[process.argv[2]]().catch((e) => {
  console.error(e);
  process.exitCode = 1;
});
