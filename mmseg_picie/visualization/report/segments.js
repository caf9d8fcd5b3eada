// Segments: unpack them, and paint them over an image.
const unpacked = new Map(); // image -> promise of the clusters of its pixels

function unpack(image) {
  if (!unpacked.has(image)) unpacked.set(image, inflate(data.images[image].segments));
  return unpacked.get(image);
}

async function inflate(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  const buffer = await new Response(stream).arrayBuffer();
  if (K <= 256) return new Uint8Array(buffer);
  const view = new DataView(buffer);
  return Uint16Array.from({ length: buffer.byteLength / 2 }, (_, i) => view.getUint16(2 * i, true));
}

// Whether a pattern has ink at a pixel: the same patterns as the swatches have.
const PATTERNS = [
  () => false,
  (x, y) => (x + y) % 8 < 2,
  (x, y) => x % 7 < 3 && y % 7 < 3,
  (x, y) => y % 7 < 2,
];
const patternOf = (k) => Math.floor(k / data.numPlain) % PATTERNS.length;

const settings = {
  get patterns() { return byId('patterns').checked; },
  get outlines() { return byId('outlines').checked; },
};

// Paint the segments of an image; those of a highlighted group stay, the others fade.
async function paint(canvas, image, highlighted = null) {
  const ticket = (canvas.ticket = (canvas.ticket || 0) + 1);
  const ids = await unpack(image);
  if (canvas.ticket !== ticket) return; // there is something newer to paint
  const { width, height } = data.images[image];
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext('2d');
  const picture = context.createImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer);
  const inks = clusters.map((k) => words(colours[groupOf[k]]));
  const marks = clusters.map((k) => (luminance(colours[groupOf[k]]) > 0.3 ? 0xc0000000 : 0xd0ffffff));
  const shapes = clusters.map((k) => PATTERNS[settings.patterns ? patternOf(groupOf[k]) : 0]);
  const outlines = settings.outlines || highlighted !== null;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const k = ids[i];
      const group = groupOf[k];
      let ink = inks[k];
      if (shapes[k](x, y)) ink = marks[k];
      if (highlighted !== null && group !== highlighted) ink = 0x66101010;
      if (outlines) {
        const edge = (x + 1 < width && groupOf[ids[i + 1]] !== group) || (y + 1 < height && groupOf[ids[i + width]] !== group);
        const near = highlighted === null || group === highlighted ||
          (x + 1 < width && groupOf[ids[i + 1]] === highlighted) || (y + 1 < height && groupOf[ids[i + width]] === highlighted);
        if (edge && near) ink = 0xffffffff;
      }
      pixels[i] = ink;
    }
  }
  context.putImageData(picture, 0, 0);
  canvas.painted = { image, ids };
}

// A colour as a pixel of 32 bits: red in the lowest byte, opaque.
function words(hex) {
  const [r, g, b] = rgb(hex);
  return (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
}

// The group below a pointer; null beside the image.
function groupAt(canvas, event) {
  if (!canvas.painted) return null;
  const box = canvas.getBoundingClientRect();
  const x = Math.floor(((event.clientX - box.left) / box.width) * canvas.width);
  const y = Math.floor(((event.clientY - box.top) / box.height) * canvas.height);
  if (x < 0 || y < 0 || x >= canvas.width || y >= canvas.height) return null;
  return groupOf[canvas.painted.ids[y * canvas.width + x]];
}

// Shares of an image by group, largest first.
function sharesOf(image) {
  const sums = new Map();
  for (const [k, share] of data.images[image].shares) sums.set(groupOf[k], (sums.get(groupOf[k]) || 0) + share);
  return [...sums].sort((a, b) => b[1] - a[1]);
}

const describe = (image) => sharesOf(image).slice(0, 5).map(([group, share]) => `${called(group)} ${percent(share)}`).join(', ');
