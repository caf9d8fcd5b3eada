// Names, colours and merges by hand, and the file that keeps them.
const nameOf = (k) => byId(`name-${k}`);
const colourOf = (k) => byId(`colour-${k}`);
// Clusters whose names the model, or a file that was saved, may know.
const everNamed = new Set(clusters.filter((k) => data.names[k]));

// What hinders a name or a colour; '' if nothing does.
function problem(k) {
  const default_ = /^cluster (\d+)$/.exec(names[k]);
  if (default_ && Number(default_[1]) !== k && Number(default_[1]) < K && called(Number(default_[1])) !== names[k]) {
    return `Another cluster without a name is called “${names[k]}”. Choose another name.`;
  }
  const same = groups().find((group) => group !== groupOf[k] && colours[group] === colours[groupOf[k]]);
  if (same !== undefined) return `The same colour as ${called(same)}. Choose another.`;
  return '';
}

// A name is taken over: clusters of one name share a colour.
function rename(k, text) {
  const name = text.trim().replace(/\s+/g, ' ');
  if (name === names[k]) return;
  names[k] = name === `cluster ${k}` ? '' : name;
  regroup();
  const others = members(groupOf[k]).filter((other) => other !== k);
  if (others.length) {
    others.forEach((other) => { names[other] = names[other] || called(other); });
    names[k] = called(others[0]);
    colours[k] = colours[others[0]];
    say(`Cluster ${k} and cluster ${others.join(', ')} are one now: ${called(k)}`);
  } else if (!names[k] || clusters.some((other) => other !== k && colours[other] === colours[k])) {
    colours[k] = data.ownColours[k]; // it has left a group, or a class
  }
  changed();
}

function merge(k, target) {
  const name = called(target);
  const group = members(groupOf[k]);
  members(groupOf[target]).forEach((other) => { names[other] = name; });
  group.forEach((other) => {
    names[other] = name;
    colours[other] = colours[target];
  });
  changed();
  say(`Cluster ${k} is one with ${name} now`);
}

function separate(k) {
  const others = members(groupOf[k]).filter((other) => other !== k);
  if (called(k) === `cluster ${k}`) {
    // The others were called after this one.
    others.forEach((other) => { names[other] = others.length > 1 ? `cluster ${others[0]}` : ''; });
  }
  if (others.length === 1 && names[others[0]] === `cluster ${others[0]}`) names[others[0]] = '';
  names[k] = '';
  if (!others.length || colours[k] === colours[others[0]]) colours[k] = data.ownColours[k];
  if (colours[k] === colours[others[0]]) colours[others[0]] = data.ownColours[others[0]];
  others.forEach((other) => { colours[other] = colours[others[0]]; });
  changed();
  say(`Cluster ${k} stands alone again`);
  nameOf(k).focus();
}

function update() {
  document.querySelectorAll('[data-name-of]').forEach((place) => { place.textContent = called(Number(place.dataset.nameOf)); });
  document.querySelectorAll('[data-swatch]').forEach((place) => { place.style.setProperty('--colour', colours[groupOf[Number(place.dataset.swatch)]]); });
  for (const k of clusters) {
    if (document.activeElement !== nameOf(k)) nameOf(k).value = names[k];
    colourOf(k).value = colours[k];
    const wrong = problem(k);
    const others = members(groupOf[k]).filter((other) => other !== k);
    byId(`note-${k}`).textContent = wrong || (others.length ? `One with number ${others.join(', ')}.` : '');
    byId(`note-${k}`).classList.toggle('wrong', wrong !== '');
    nameOf(k).setAttribute('aria-invalid', String(wrong !== ''));
    byId(`separate-${k}`).hidden = !others.length;
    const select = byId(`merge-${k}`);
    select.replaceChildren(new Option('–', ''), ...groups().filter((group) => group !== groupOf[k]).map((group) => new Option(called(group), group)));
  }
  for (const button of document.querySelectorAll('.join')) {
    button.hidden = groupOf[Number(button.dataset.join)] === groupOf[Number(button.dataset.with)];
  }
  byId('known-names').replaceChildren(...[...new Set(names)].filter(Boolean).map((name) => new Option(name)));
  const note = byId('changes');
  const named = clusters.filter((k) => names[k]).length;
  note.hidden = !isDirty;
  note.textContent = `${named} of ${K} named, not saved`;
  byId('save').classList.toggle('ready', isDirty);
}

function entries() {
  const list = [];
  for (const k of clusters) {
    if (names[k] || colours[k] !== data.ownColours[k]) list.push({ id: k, name: called(k), colour: colours[k] });
    else if (everNamed.has(k)) list.push({ id: k, name: null });
  }
  return list;
}

function save() {
  const wrong = clusters.find((k) => problem(k));
  if (wrong !== undefined) {
    say(problem(wrong));
    nameOf(wrong).focus();
    return;
  }
  const content = { format: 'mmseg_picie names', version: 1, model: data.model, view: data.view, clusters: entries() };
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([JSON.stringify(content, null, 2) + '\n'], { type: 'application/json' }));
  link.download = 'names.json';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  clusters.forEach((k) => {
    if (names[k]) everNamed.add(k);
    data.names[k] = names[k];
    data.colours[k] = colours[k];
  });
  changed();
  say('names.json is saved. Next: picie name CHECKPOINT names.json');
}

for (const k of clusters) {
  nameOf(k).addEventListener('change', () => { rename(k, nameOf(k).value); nameOf(k).value = names[k]; });
  nameOf(k).addEventListener('keydown', (event) => { if (event.key === 'Enter') nameOf(k).blur(); });
  colourOf(k).addEventListener('change', () => {
    members(groupOf[k]).forEach((other) => { colours[other] = colourOf(k).value; });
    changed();
  });
  byId(`merge-${k}`).addEventListener('change', (event) => { if (event.target.value !== '') merge(k, Number(event.target.value)); });
  byId(`separate-${k}`).addEventListener('click', () => separate(k));
}
for (const button of document.querySelectorAll('.join')) {
  button.addEventListener('click', () => {
    merge(Number(button.dataset.join), Number(button.dataset.with));
    byId(`separate-${button.dataset.join}`).focus();
  });
}
byId('save').addEventListener('click', save);
window.addEventListener('beforeunload', (event) => { if (isDirty) event.preventDefault(); });
listeners.push(update);
update();
