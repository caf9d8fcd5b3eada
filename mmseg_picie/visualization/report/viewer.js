// The gallery of images, and the view of a single one.
const gallery = byId('gallery');
const items = [...gallery.children];
const visible = new Set();
let order = items.map((_, i) => i); // images that the filter leaves, in the order shown

const canvasOf = (item) => item.querySelector('canvas');
const filtered = () => (byId('filter').value === '' ? null : Number(byId('filter').value));

// Only images in sight hold a painted canvas, so that memory stays small.
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const image = Number(target.dataset.image);
    if (isIntersecting) {
      visible.add(image);
      paint(canvasOf(target), image, filtered());
    } else {
      visible.delete(image);
      const canvas = canvasOf(target);
      canvas.ticket = (canvas.ticket || 0) + 1;
      canvas.width = canvas.height = 0;
      canvas.painted = null;
    }
  }
}, { rootMargin: '200px' });

items.forEach((item, image) => {
  watcher.observe(item);
  const canvas = canvasOf(item);
  let pointed = null;
  item.addEventListener('pointermove', (event) => {
    if (event.pointerType === 'touch') return;
    const group = groupAt(canvas, event);
    if (group === pointed) return;
    pointed = group;
    paint(canvas, image, group ?? filtered());
    item.querySelector('.caption').textContent = group === null ? data.images[image].name : called(group);
  });
  item.addEventListener('pointerleave', () => {
    if (pointed === null) return;
    pointed = null;
    paint(canvas, image, filtered());
    item.querySelector('.caption').textContent = data.images[image].name;
  });
  item.querySelector('button').addEventListener('click', () => open(image));
});

function repaint() {
  visible.forEach((image) => paint(canvasOf(items[image]), image, filtered()));
  if (viewer.open) show(current);
}

function filter() {
  const group = filtered();
  const share = (image) => data.images[image].shares.reduce((sum, [k, part]) => sum + (groupOf[k] === group ? part : 0), 0);
  order = items.map((_, image) => image);
  if (group !== null) order = order.filter((image) => share(image) > 0).sort((a, b) => share(b) - share(a));
  const kept = new Set(order);
  items.forEach((item, image) => { item.hidden = !kept.has(image); });
  gallery.append(...order.map((image) => items[image]));
  byId('shown').textContent = group === null
    ? `${items.length} images shown`
    : `${order.length} of ${items.length} images have ${called(group)}; most of it first`;
  repaint();
}

function listGroups() {
  const select = byId('filter');
  const before = select.value;
  select.replaceChildren(new Option('any cluster', ''), ...groups().map((group) => new Option(called(group), group)));
  select.value = before !== '' && members(groupOf[before]).length ? String(groupOf[before]) : '';
}

// One image at a time.
const viewer = byId('viewer');
const picture = byId('viewer-image');
const drawing = byId('viewer-canvas');
let current = 0;
let pinned = null; // the group that a chip holds highlighted

function open(image) {
  pinned = filtered();
  viewer.showModal();
  show(image);
}

function show(image) {
  current = image;
  const { name, width, height } = data.images[image];
  byId('viewer-title').textContent = name;
  byId('viewer-place').textContent = `${order.indexOf(image) + 1} of ${order.length}`;
  picture.src = items[image].querySelector('img').src;
  picture.alt = `${name}: ${describe(image)}`;
  byId('viewer-stack').style.setProperty('--aspect', width / height);
  byId('pointed').textContent = pinned === null ? '' : called(pinned);
  paint(drawing, image, pinned);
  byId('chips').replaceChildren(...sharesOf(image).map(([group, share]) => chip(group, share)));
}

function chip(group, share) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'chip';
  button.setAttribute('aria-pressed', String(pinned === group));
  const swatch = document.createElement('span');
  swatch.className = `swatch p${patternOf(group)}`;
  swatch.style.setProperty('--colour', colours[group]);
  button.append(swatch, `${called(group)} ${percent(share)}`);
  button.addEventListener('pointerenter', () => point(group));
  button.addEventListener('pointerleave', () => point(pinned));
  button.dataset.group = group;
  button.addEventListener('click', () => pin(group));
  const item = document.createElement('li');
  item.append(button);
  return item;
}

// Keep a group highlighted, or let it go again.
function pin(group) {
  pinned = pinned === group ? null : group;
  for (const button of byId('chips').querySelectorAll('button')) {
    button.setAttribute('aria-pressed', String(Number(button.dataset.group) === pinned && pinned !== null));
  }
  point(pinned);
}

let shownGroup = null;
function point(group) {
  shownGroup = group;
  byId('pointed').textContent = group === null ? '' : called(group);
  paint(drawing, current, group);
}

function step(by) {
  const place = order.indexOf(current);
  show(order[(place + by + order.length) % order.length]);
}

drawing.addEventListener('pointermove', (event) => {
  const group = groupAt(drawing, event) ?? pinned;
  if (group !== shownGroup) point(group);
});
drawing.addEventListener('pointerleave', () => point(pinned));
drawing.addEventListener('click', (event) => {
  const group = groupAt(drawing, event);
  if (group !== null) pin(group);
});
byId('previous').addEventListener('click', () => step(-1));
byId('next').addEventListener('click', () => step(1));
byId('close').addEventListener('click', () => viewer.close());
viewer.addEventListener('close', () => {
  items[current].querySelector('button').focus();
});
viewer.addEventListener('keydown', (event) => {
  if (event.target.type === 'range' || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'ArrowLeft') step(-1);
  else if (event.key === 'ArrowRight') step(1);
  else if (event.key === 's') byId('toggle').click();
  else return;
  event.preventDefault();
});
viewer.addEventListener('click', (event) => {
  if (event.target === viewer) viewer.close(); // beside the view
});

// Both sliders say the same.
const sliders = [byId('opacity'), byId('viewer-opacity')];
let isShown = true;
function setOpacity(value) {
  sliders.forEach((slider) => { slider.value = value; });
  document.documentElement.style.setProperty('--opacity', isShown ? value / 100 : 0);
}
sliders.forEach((slider) => slider.addEventListener('input', () => {
  isShown = true;
  byId('toggle').setAttribute('aria-pressed', 'true');
  setOpacity(slider.value);
}));
byId('toggle').addEventListener('click', () => {
  isShown = !isShown;
  byId('toggle').setAttribute('aria-pressed', String(isShown));
  setOpacity(sliders[0].value);
});
byId('filter').addEventListener('change', filter);
byId('outlines').addEventListener('change', repaint);
byId('patterns').addEventListener('change', repaint);

function labelImages() {
  items.forEach((item, image) => {
    item.querySelector('button').setAttribute('aria-label', `Open ${data.images[image].name}: ${describe(image)}`);
  });
}

listeners.push(listGroups, labelImages, filter);
setOpacity(sliders[0].value);
listGroups();
labelImages();
filter();
