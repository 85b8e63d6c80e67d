// Drives the page in Debian's chromium, against the made-up ISP of netwatch-http, and asserts what PAGE.md promises.
//
// node page.mjs PATH/TO/fake_isp [FOLDER FOR SCREENSHOTS]
// Exit status 0 if everything holds; the first line that starts with "not ok" says what does not.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';

const [program, shots] = process.argv.slice(2);
assert.ok(program && existsSync(program), 'build it first: cargo build -p netwatch-http --example fake_isp');
if (shots) mkdirSync(shots, { recursive: true });

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'],
});
const running = new Set();

/** Starts an ISP; `tell` changes it, `end` kills it. */
function isp(args = [], listen = '127.0.0.1:0') {
  return new Promise((ready, failed) => {
    const child = spawn(program, ['--listen', listen, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    running.add(child);
    child.once('error', failed);
    child.stdout.once('data', (line) => ready({
      url: String(line).trim(),
      tell: (command) => child.stdin.write(`${command}\n`),
      end: () => new Promise((ended) => {
        if (!running.delete(child)) return ended();
        child.once('exit', ended);
        child.kill('SIGKILL');
      }),
    }));
  });
}

/** What one check may take at most. */
const LIMIT = 60000;

/** A page on a new ISP, once it is live. What it complains of on the console is kept. */
async function visit({ args = [], context = {}, script, live = true } = {}, use) {
  const world = await isp(args);
  const session = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...context });
  const page = await session.newPage();
  page.setDefaultTimeout(15000);
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => message.type() === 'error' && !message.text().includes('net::ERR') && complaints.push(message.text()));
  page.on('dialog', (dialog) => { complaints.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('request', (request) => { if (!request.url().startsWith(world.url)) complaints.push(`asked outside: ${request.url()}`); });
  if (script) await page.addInitScript(script);
  await page.goto(world.url);
  if (live) await page.waitForSelector('body:not(.stale)');
  await use(page, world);
  assert.deepEqual(complaints, [], 'the console is silent');
  await session.close();
  await world.end();
}

const shot = (page, name) => (shots ? page.screenshot({ path: `${shots}/${name}.png` }) : null);
const texts = (page, selector) => page.locator(selector).allTextContents();
const seconds = (watch) => watch.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);

/** How many pixels of what is seen are clearly green (or red). */
async function pixels(page) {
  const png = (await page.screenshot()).toString('base64');
  const blank = await browser.newPage();
  const found = await blank.evaluate(async (data) => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    const canvas = Object.assign(document.createElement('canvas'), { width: image.width, height: image.height });
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const { data: dots } = context.getImageData(0, 0, image.width, image.height);
    let [green, red] = [0, 0];
    for (let at = 0; at < dots.length; at += 4) {
      const [r, g, b] = [dots[at], dots[at + 1], dots[at + 2]];
      if (g > r + 24 && g > b + 24) green += 1;
      if (r > g + 60 && r > b + 60) red += 1;
    }
    return { green, red };
  }, png);
  await blank.close();
  return found;
}

/** Every text whose contrast to what lies behind it is below 4.5:1 (WCAG 2.2, 1.4.3), once it has stopped fading. */
const faint = (page) => page.evaluate(() => {
  document.getAnimations().forEach((animation) => animation.finish());
  const parse = (color) => {
    const parts = color.match(/[\d.]+/g).map(Number);
    return color.startsWith('color(') ? [...parts.slice(0, 3).map((part) => part * 255), parts[3] ?? 1] : [...parts.slice(0, 3), parts[3] ?? 1];
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const bad = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.checkVisibility() || node.closest('noscript, script')) continue;
    const [front, back] = [light(parse(getComputedStyle(node).color).slice(0, 3)), light(behind(node).slice(0, 3))];
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (ratio < 4.5) bad.push(`${walker.currentNode.data.trim()} (${node.className}): ${ratio.toFixed(2)}`);
  }
  return bad;
});

const checks = {
  'every device has its box: shape, name, word and ping': () => visit({ args: ['--targets', '20'] }, async (page) => {
    assert.equal(await page.locator('.box').count(), 20);
    const box = page.locator('.box', { hasText: 'dslam-centro' });
    assert.equal(await box.locator('.shape.s-ok').count(), 1);
    assert.equal(await box.locator('.word').textContent(), 'OK');
    assert.match(await box.locator('.figure').textContent(), /^\d+(,\d)? ms$/);
    assert.match(await page.locator('#wrong').textContent(), /Todo en orden/);
    assert.equal(await page.title(), 'netwatch');
  }),

  'one that falls silent turns red with a stopwatch that counts, and comes back': () => visit({ args: ['--targets', '20'] }, async (page, world) => {
    world.tell('down dslam-centro');
    const box = page.locator('.b-down', { hasText: 'dslam-centro' });
    await box.waitFor();
    assert.equal(await box.locator('.word').textContent(), 'NO RESPONDE');
    const before = seconds(await box.locator('.figure').textContent());
    await page.waitForTimeout(3000);
    const after = seconds(await box.locator('.figure').textContent());
    assert.ok(after - before >= 2 && after - before <= 4, `${before} -> ${after}`);
    assert.equal(await page.title(), '(1) netwatch');
    assert.equal(await page.locator('#icon').getAttribute('href'), '/assets/icon-down.svg');
    assert.match(await page.locator('.row').textContent(), /dslam-centro.*NO RESPONDE.*tolerancia 2 min/);
    await shot(page, 'one-down');
    world.tell('up dslam-centro');
    await page.locator('.b-ok', { hasText: 'dslam-centro' }).waitFor();
    assert.equal(await page.title(), 'netwatch');
  }),

  'the stopwatch follows the server, not this machine': () => visit({
    args: ['--trouble'],
    script: () => { const real = Date.now; Date.now = () => real() + 5 * 3600 * 1000; },
  }, async (page) => {
    const watch = seconds(await page.locator('.row .watch').first().textContent());
    assert.ok(watch > 700 && watch < 1000, String(watch));
  }),

  'what is wrong stands first, the longest first, with who was told': () => visit({ args: ['--trouble'] }, async (page) => {
    const words = await texts(page, '.row .word');
    assert.deepEqual(words, ['NO RESPONDE', 'NO RESPONDE', 'WARNING', 'WARNING']);
    const watches = (await texts(page, '.row .watch')).map(seconds);
    assert.ok(watches[0] >= watches[1], watches.join());
    assert.match(await page.locator('.row').first().textContent(), /correo .* a turno@example\.net/);
    assert.deepEqual((await texts(page, '.fold summary')).length, 2);
    assert.match((await texts(page, '.fold summary'))[0], /2 nunca respondieron/);
    assert.match((await texts(page, '.fold summary'))[1], /1 DESCONOCIDO: el servidor de netwatch no tiene ruta/);
    const counts = Object.fromEntries(await page.locator('.count:visible').evaluateAll((all) => all.map((one) => [one.value, one.children[1].textContent])));
    assert.deepEqual(counts, { down: '4', unreachable: '0', warning: '2', unknown: '1', ok: '33' });
    await shot(page, 'es');
  }),

  'it speaks English when told, and remembers': () => visit({ args: ['--trouble'] }, async (page) => {
    assert.equal(await page.getAttribute('html', 'lang'), 'es');
    await page.click('#lang button[value=en]');
    assert.equal(await page.locator('.b-down .word').first().textContent(), 'DOWN');
    assert.match(await page.locator('#wrong h2').textContent(), /What is wrong/);
    assert.match(await page.locator('.b-ok .figure').first().textContent(), /^\d+(\.\d)? ms$/);
    await page.reload();
    await page.waitForSelector('body:not(.stale)');
    assert.equal(await page.getAttribute('html', 'lang'), 'en');
    await shot(page, 'en');
  }),

  'the plan’s locale decides until a person does': () => visit({ args: ['--english'] }, async (page) => {
    assert.equal(await page.getAttribute('html', 'lang'), 'en');
    assert.match(await page.locator('#wrong').textContent(), /All is well/);
  }),

  'search, filters and keys': () => visit({ args: ['--trouble'] }, async (page) => {
    await page.keyboard.press('/');
    await page.keyboard.type('ITAUGUA');
    await page.waitForFunction(() => document.querySelectorAll('.box').length === 5);
    await page.keyboard.press('Escape');
    await page.waitForFunction(() => document.querySelectorAll('.box').length === 40);
    await page.selectOption('#group', 'DSLAM');
    assert.equal(await page.locator('.box').count(), 8);
    await page.selectOption('#group', '');
    await page.click('.count[value=warning]');
    assert.deepEqual([...new Set(await texts(page, '.box .word'))], ['WARNING']);
    await page.click('.count[value=warning]');
    await page.fill('#search', 'no such device');
    await page.click('#clear');
    assert.equal(await page.locator('.box').count(), 40);
    await page.locator('body').press('j');
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    assert.equal(await page.locator('#detail[open] h2').textContent(), (await texts(page, '.row .name'))[1]);
    const watch = page.locator('#detail .watch');
    const before = await watch.textContent();
    await page.waitForTimeout(2500);
    assert.notEqual(await watch.textContent(), before, 'the dialog is live');
    await page.keyboard.press('Escape');
    assert.equal(await page.locator('#detail[open]').count(), 0);
    await page.keyboard.press('?');
    assert.equal(await page.locator('#keys[open]').count(), 1);
  }),

  'trouble with mail and journal stands above everything': () => visit({ args: ['--targets', '20'] }, async (page, world) => {
    world.tell('mail off');
    world.tell('journal off');
    await page.waitForFunction(() => document.querySelectorAll('.alert').length === 2);
    assert.match((await texts(page, '.alert'))[0], /sin correo desde \S+.* · 4 avisos esperando/);
    world.tell('mail on');
    world.tell('journal on');
    await page.waitForFunction(() => document.querySelectorAll('.alert').length === 0);
  }),

  'a disk that is almost full and a database that was damaged stand above everything': () => visit({ args: ['--targets', '20'] }, async (page, world) => {
    world.tell('room off');
    await page.waitForSelector('.alert');
    assert.deepEqual(await texts(page, '.alert'), ['el disco de netwatch está casi llenothe disk of /var/lib/netwatch is almost full']);
    world.tell('damaged');
    await page.waitForFunction(() => document.querySelectorAll('.alert').length === 2);
    assert.match((await texts(page, '.alert'))[1], /^la base de datos estaba dañada; se guardó aparte.*netwatch\.db\.damaged/);
    await shot(page, 'disk');
    world.tell('room on');
    await page.waitForFunction(() => document.querySelectorAll('.alert').length === 1);
  }),

  'blindness stands above everything and a flapping device says so': () => visit({ args: ['--targets', '20'] }, async (page, world) => {
    const name = (await texts(page, '.box .name'))[0];
    world.tell('sight off');
    world.tell(`flapping ${name}`);
    await page.waitForSelector('.alert');
    assert.match((await texts(page, '.alert'))[0], /^netwatch está a ciegas desde \d\d:\d\d.*sin red/);
    await page.waitForFunction(() => document.querySelector('.box .word').textContent === 'inestable');
    await page.waitForFunction(() => document.querySelector('#wrong').hidden, null, { timeout: 5000 });
    await shot(page, 'blind');
    world.tell('sight on');
    await page.waitForFunction(() => document.querySelectorAll('.alert').length === 0);
    await page.waitForFunction(() => !document.querySelector('#wrong').hidden);
  }),

  'a recipient refused for good stands above until a mail to them is accepted': () => visit({ args: ['--targets', '20'] }, async (page, world) => {
    world.tell('refuse malo@example.net');
    await page.waitForSelector('.alert');
    assert.match((await texts(page, '.alert')).join(), /^malo@example\.net rechazó el correo: 550 5\.1\.1 no such user here/);
    assert.match(await page.locator('#wrong').textContent(), /Todo en orden/, 'others are told');
    world.tell('accept otro@example.net');
    world.tell('mail off');
    await page.waitForFunction(() => /sin correo/.test(document.querySelector('.alert')?.textContent));
    assert.equal(await page.locator('.alert').count(), 1, 'a path that fails says why itself');
    world.tell('mail on');
    await page.waitForFunction(() => /malo@/.test(document.querySelector('.alert')?.textContent));
    await shot(page, 'refused');
    world.tell('accept malo@example.net');
    await page.waitForFunction(() => document.querySelectorAll('.alert').length === 0);
  }),

  'nothing is called well before it is known': async () => {
    await visit({ args: ['--targets', '20', '--pending'] }, async (page, world) => {
      assert.match(await page.locator('#wrong').textContent(), /Todavía preguntando … *falta el primer chequeo de 20 equipos/);
      assert.equal(await page.locator('.calm-line.well').count(), 0);
      assert.equal(await page.locator('#icon').getAttribute('href'), '/assets/icon-unknown.svg');
      await shot(page, 'pending');
      world.tell('up core-centro');
      await page.waitForFunction(() => /de 19 equipos/.test(document.querySelector('#wrong').textContent));
    });
    await visit({ args: ['--targets', '1', '--pending'] }, async (page, world) => {
      assert.match(await page.locator('#wrong').textContent(), /falta el primer chequeo de 1 equipo$/);
      world.tell('up core-centro');
      await page.waitForFunction(() => /Todo en orden *responde el único equipo$/.test(document.querySelector('#wrong').textContent));
      assert.equal(await page.locator('#icon').getAttribute('href'), '/assets/icon.svg');
    });
    await visit({ args: ['--targets', '20', '--paused'] }, async (page) => {
      assert.match(await page.locator('#wrong').textContent(), /Todo en pausa/);
      assert.equal(await page.locator('.calm-line.well').count(), 0);
      await shot(page, 'paused');
    });
  },

  'where nothing is watched it says what to do': () => visit({ args: ['--targets', '0'] }, async (page) => {
    assert.match(await page.locator('.empty').textContent(), /agregar los equipos en netwatch\.toml y reiniciar netwatch/);
    assert.equal(await page.locator('#wrong').isVisible(), false);
    await shot(page, 'empty');
    await page.click('#lang button[value=en]');
    assert.match(await page.locator('.empty').textContent(), /netwatch\.toml and restart netwatch/);
  }),

  'one is not many': () => visit({ args: ['--trouble', '--targets', '37', '--customers', '1'] }, async (page, world) => {
    assert.match((await texts(page, '.fold summary'))[0], /^1 nunca respondió$/);
    assert.match((await texts(page, '.row .facts')).join(), / 1 cliente( |,|$)/);
    world.tell('mail one');
    await page.waitForSelector('.alert');
    assert.match((await texts(page, '.alert'))[0], / · 1 aviso esperando/);
    const said = await page.evaluate(async () => {
      const { getLang, setLang, w } = await import('/assets/words.js');
      const before = getLang();
      const all = ['es', 'en'].map((lang) => {
        setLang(lang);
        const { allWellOf, askingOf, neverFold, customers, waiting, mostDown } = w();
        return [1, 1234].map((n) => [allWellOf, askingOf, neverFold, customers, waiting, (m) => mostDown(m, 2000)].map((say) => say(n)));
      });
      setLang(before);
      return all;
    });
    assert.deepEqual(said, [
      [
        ['responde el único equipo', 'falta el primer chequeo de 1 equipo', '1 nunca respondió', '1 cliente', '1 aviso esperando', '1 de 2.000 no responde'],
        ['responden los 1.234 equipos', 'falta el primer chequeo de 1.234 equipos', '1.234 nunca respondieron', '1.234 clientes', '1.234 avisos esperando', '1.234 de 2.000 no responden'],
      ],
      [
        ['the only device answers', '1 device has not been checked yet', '1 never answered', '1 customer', '1 line waiting', '1 of 2,000 does not answer'],
        ['all 1,234 devices answer', '1,234 devices have not been checked yet', '1,234 never answered', '1,234 customers', '1,234 lines waiting', '1,234 of 2,000 do not answer'],
      ],
    ]);
  }),

  'the Spanish calls what is watched by one name, and the server by its own': () => visit({ args: ['--targets', '1'] }, async (page) => {
    const words = await page.evaluate(async () => {
      const { w } = await import('/assets/words.js');
      return JSON.stringify(w(), (_, value) => (typeof value === 'function' ? String(value) : value));
    });
    assert.doesNotMatch(words, /dispositivo|este equipo|cortafuegos|búfer|SIGHUP|\b(agregá|recargá|reiniciá|mirá|tenés|podés)/i);
  }),

  'a killed server veils the page, no green shows, and it comes back by itself': () => visit({ args: ['--trouble'] }, async (page, world) => {
    const alive = await pixels(page);
    assert.ok(alive.green > 500 && alive.red > 500, JSON.stringify(alive));
    await world.end();
    await page.waitForSelector('body.stale', { timeout: 6000 });
    await page.waitForTimeout(400);
    assert.match(await page.locator('#veil-words').textContent(), /sin datos desde \d\d:\d\d:\d\d/);
    assert.deepEqual(await pixels(page), { green: 0, red: 0 });
    assert.match(await page.title(), /sin datos/);
    await shot(page, 'stale');
    const frozen = await page.locator('.watch').first().textContent();
    await page.waitForTimeout(1500);
    assert.equal(await page.locator('.watch').first().textContent(), frozen, 'nothing is claimed meanwhile');
    const again = await isp(['--trouble'], new URL(world.url).host);
    await page.waitForSelector('body:not(.stale)', { timeout: 15000 });
    await again.end();
  }),

  'a server that is told nothing veils the page too': () => visit({ args: ['--targets', '20', '--interval-ms', '500'] }, async (page, world) => {
    world.tell('freeze');
    await page.waitForSelector('body.stale', { timeout: 10000 });
    await page.waitForTimeout(400);
    assert.equal((await pixels(page)).green, 0);
    assert.match(await page.locator('#veil-words').textContent(), /sin datos desde/);
  }),

  'a phone needs no sideways scroll, shows two abreast and has room for a thumb': () => visit({
    args: ['--trouble'], context: { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true },
  }, async (page, world) => {
    const wide = () => page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.deepEqual(await wide(), [390, 390]);
    const columns = await page.locator('.boxes').first().evaluate((boxes) => getComputedStyle(boxes).gridTemplateColumns.split(' ').length);
    assert.equal(columns, 2);
    const small = await page.locator('button:visible, select:visible, input:visible, summary:visible').evaluateAll((all) => all
      .map((one) => [one.id || one.className || one.value, one.getBoundingClientRect()])
      .filter(([, box]) => box.height < 43.5 || box.width < 43.5).map(([name, box]) => `${name} ${box.width}x${box.height}`));
    assert.deepEqual(small, []);
    await shot(page, 'phone');
    world.tell(`refuse ${'malo'.repeat(15)}@example.net`);
    await page.waitForSelector('.alert');
    assert.deepEqual(await wide(), [390, 390], 'a long address is broken');
    await shot(page, 'phone-refused');
    await page.evaluate(() => scrollTo(0, 700));
    assert.ok((await page.locator('#counts').boundingBox()).y < 10, 'the counts stay in sight');
  }),

  'every text can be read, in light and in dark': async () => {
    for (const colorScheme of ['light', 'dark']) {
      await visit({ args: ['--trouble'], context: { colorScheme } }, async (page, world) => {
        world.tell('mail off');
        await page.waitForSelector('.alert');
        await page.click('.fold summary');
        assert.deepEqual(await faint(page), []);
        for (const place of ['.row', '.r-warning', '.r-unreachable', '.box', '.b-down', '.b-warning', '.b-unreachable', '.fold summary', '.count']) {
          for (const node of await page.locator(place).locator('visible=true').first().all()) {
            await node.hover();
            assert.deepEqual(await faint(page), [], `under the pointer: ${place}`);
          }
        }
        await shot(page, colorScheme);
        await page.click('.row');
        assert.deepEqual(await faint(page), []);
      });
    }
  },

  'every shape stands out from its ground': async () => {
    for (const colorScheme of ['light', 'dark']) {
      await visit({ context: { colorScheme } }, async (page) => {
        const weak = await page.evaluate(() => {
          const style = getComputedStyle(document.documentElement);
          const light = (name) => {
            const hex = style.getPropertyValue(`--${name}`).trim().slice(1);
            const full = hex.length === 3 ? [...hex].map((digit) => digit + digit).join('') : hex;
            const [r, g, b] = [0, 2, 4].map((at) => parseInt(full.slice(at, at + 2), 16) / 255)
              .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
          return ['ok', 'warning', 'down', 'unreachable', 'unknown', 'pending']
            .flatMap((status) => ['surface', 'bg'].map((ground) => [status, ground, ratio(status, ground)]))
            .filter(([, , value]) => !(value >= 3));
        });
        assert.deepEqual(weak, []);
      });
    }
  },

  'the theme is switched and remembered': () => visit({ context: { colorScheme: 'light' } }, async (page) => {
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    await page.click('#theme');
    await page.click('#theme');
    assert.notEqual(await ground(), light);
    await page.reload();
    assert.equal(await page.getAttribute('html', 'data-theme'), 'dark');
  }),

  'hostile names are shown and do nothing': () => visit({ args: ['--hostile', '--targets', '20'] }, async (page, world) => {
    world.tell('down <img src=x onerror=window.pwned=1>');
    await page.locator('.row', { hasText: '<img src=x onerror=window.pwned=1>' }).waitFor();
    await page.locator('.box .name', { hasText: '<script>window.pwned=1</script>' }).waitFor();
    await page.click('.row');
    assert.equal(await page.locator('#detail h2').textContent(), '<img src=x onerror=window.pwned=1>');
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    assert.equal(await page.locator('main img, main script, main svg').count(), 0);
  }),

  'ten thousand devices are shown as cells and stay handy': () => visit({
    args: ['--targets', '10000', '--trouble', '--interval-ms', '10000'], live: false,
  }, async (page, world) => {
    await page.waitForFunction(() => document.querySelectorAll('.cell').length === 10000, null, { timeout: 30000 });
    assert.equal(await page.locator('.row').count(), 12, 'what is wrong does not push the rest away');
    world.tell('down core-centro');
    await page.waitForFunction(() => document.querySelector('.cell').classList.contains('c-down'), null, { timeout: 30000 });
    await page.hover('.cell');
    assert.match(await page.locator('#tip').textContent(), /core-centro · 192\.168\.0\.0 · NO RESPONDE/);
    await page.fill('#search', 'olt-limpio-12');
    await page.waitForFunction(() => document.querySelectorAll('.cell').length < 20);
    await page.fill('#search', '');
    await shot(page, 'many');
    const longest = await page.evaluate(() => new Promise((done) => {
      let worst = 0;
      let last = performance.now();
      const until = last + 3000;
      const frame = (now) => {
        worst = Math.max(worst, now - last);
        last = now;
        if (now < until) requestAnimationFrame(frame);
        else done(worst);
      };
      requestAnimationFrame(frame);
    }));
    console.log(`# the longest pause between two frames: ${longest.toFixed(0)} ms`);
  }),
};

let failed = 0;
const only = process.env.ONLY;
for (const [name, check] of Object.entries(checks)) {
  if (only && !name.includes(only)) continue;
  try {
    let timer;
    const late = new Promise((_, over) => { timer = setTimeout(over, LIMIT, new Error(`not finished after ${LIMIT} ms`)); });
    await Promise.race([check(), late]).finally(() => clearTimeout(timer));
    console.log(`ok - ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`not ok - ${name}\n${error.stack ?? error}`);
  }
}
await browser.close();
for (const child of running) child.kill('SIGKILL');
process.exit(failed ? 1 : 0);
