// What the page knows: names and colours of clusters, and who wants to hear of changes.
const data = JSON.parse(document.getElementById('data').textContent);
const K = data.names.length;
const names = [...data.names]; // '' where a cluster has no name
const colours = [...data.colours];
const listeners = [];
let isDirty = false;

const byId = (id) => document.getElementById(id);
const clusters = [...Array(K).keys()];
const called = (k) => names[k] || `cluster ${k}`;
const percent = (share) => (share < 0.001 ? '< 0.1 %' : share < 0.0995 ? `${(100 * share).toFixed(1)} %` : `${Math.round(100 * share)} %`);

// Clusters of one name are one group; its number is that of its first cluster.
let groupOf = [];
function regroup() {
  const first = new Map();
  groupOf = clusters.map((k) => {
    if (!first.has(called(k))) first.set(called(k), k);
    return first.get(called(k));
  });
}
const groups = () => clusters.filter((k) => groupOf[k] === k);
const members = (group) => clusters.filter((k) => groupOf[k] === group);

function changed() {
  regroup();
  isDirty = clusters.some((k) => names[k] !== data.names[k] || colours[k] !== data.colours[k]);
  listeners.forEach((tell) => tell());
}

let toast;
function say(text) {
  const status = byId('status');
  status.textContent = text;
  status.classList.add('visible');
  clearTimeout(toast);
  toast = setTimeout(() => status.classList.remove('visible'), 5000);
}

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
const luminance = (hex) => {
  const [r, g, b] = rgb(hex).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};

regroup();
