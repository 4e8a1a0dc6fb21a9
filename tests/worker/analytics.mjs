// A stand-in for Analytics Engine: miniflare's own drops every data point, this one writes each to the
// console behind a mark, where `host.mjs` finds it. It is a plugin for miniflare.

// Runs in the Worker's isolate and returns nothing, at once, as the real binding does. What is beyond the
// documented limits (one index of 96 bytes, 20 blobs of together 16 KB, 20 doubles) is not recorded.
const DATASET = `export default function ({ dataset, mark }) {
  const bytes = (texts) => texts.reduce((sum, text) => sum + new TextEncoder().encode(text).length, 0);
  return {
    writeDataPoint(point) {
      const { indexes = [], blobs = [], doubles = [] } = point ?? {};
      const fits = indexes.length <= 1 && bytes(indexes) <= 96 && blobs.length <= 20
        && bytes(blobs) <= 16000 && doubles.length <= 20;
      if (fits) {
        console.log(mark + JSON.stringify({ dataset, point }));
      } else {
        console.error('a data point beyond the limits of Analytics Engine is not recorded');
      }
    },
  };
}`;

const MODULE = 'auth-edge-tests:analytics';

const bindings = ({ config }) =>
  Object.entries(config.env ?? {}).filter(([, binding]) => binding.type === 'unsafe:analytics');

export const plugins = {
  analytics: {
    getBindings: (options) => bindings(options).map(([name, binding]) => ({
      name,
      wrapped: {
        moduleName: MODULE,
        innerBindings: [
          { name: 'dataset', json: JSON.stringify(name) },
          { name: 'mark', json: JSON.stringify(binding.dev.options.mark) },
        ],
      },
    })),
    getNodeBindings: () => ({}),
    getServices: () => [],
    getExtensions: ({ options }) => options.some((it) => bindings(it).length > 0)
      ? [{ modules: [{ name: MODULE, esModule: DATASET, internal: true }] }]
      : [],
  },
};
