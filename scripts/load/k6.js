// The three endpoints for k6; see README.md beside this file.
//
//     k6 run -e CORPUS=corpus.jsonl -e TARGET=http://127.0.0.1:8080 scripts/load/k6.js
//
// k6 opens files relative to this script: give CORPUS an absolute path or one that starts here.

import http from 'k6/http';
import { check } from 'k6';
import { SharedArray } from 'k6/data';

const firstLine = __ENV.TEAM || 'TEAMID,000000000000';
const target = __ENV.TARGET || 'http://127.0.0.1:8080';

// One copy for all users.
const corpus = new SharedArray('corpus', () =>
  open(__ENV.CORPUS || 'corpus.jsonl')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line)),
);

export const options = {
  scenarios: {
    steady: {
      executor: 'constant-vus',
      vus: Number(__ENV.USERS || 50),
      duration: __ENV.DURATION || '30s',
    },
  },
  thresholds: {
    checks: ['rate==1'],
    http_req_failed: ['rate==0'],
    'http_req_duration{endpoint:blockchain}': ['p(99)<1000'],
    'http_req_duration{endpoint:qrcode}': ['p(99)<1000'],
    'http_req_duration{endpoint:twitter}': ['p(99)<1000'],
  },
};

export default function () {
  const entry = corpus[Math.floor(Math.random() * corpus.length)];
  const answer = http.request(entry.method, target + entry.target, entry.body || null, {
    tags: { endpoint: entry.endpoint, name: entry.endpoint },
  });
  const expected = entry.expect;
  check(answer, {
    status: (r) => r.status === (expected.status || 200),
    'first line': (r) => r.body.startsWith(`${firstLine}\n`),
    result: (r) => expected.result === undefined || r.body === `${firstLine}\n${expected.result}`,
  });
}
