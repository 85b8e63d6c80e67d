// What the page says, in Spanish and in English, and how it writes times and numbers.

const WORDS = {
  es: {
    ok: 'OK', warning: 'WARNING', down: 'NO RESPONDE', unreachable: 'SIN RUTA', unknown: 'DESCONOCIDO', pending: 'PENDIENTE',
    live: 'en vivo', connecting: 'conectando…', noData: 'sin datos', noDataSince: 'sin datos desde',
    noDataWhy: 'lo que se ve es lo último que se supo; la página vuelve a conectarse sola',
    wrong: 'Qué está mal', allWell: 'Todo en orden', allWellOf: (n) => (n === 1 ? 'responde el único equipo' : `responden los ${int(n)} equipos`),
    allWellSome: 'ningún equipo que se vigila está caído ni lento',
    asking: 'Todavía preguntando …',
    askingOf: (n) => `falta el primer chequeo de ${int(n)} ${n === 1 ? 'equipo' : 'equipos'}`,
    allPaused: 'Todo en pausa', allPausedWhy: 'no se está preguntando a ningún equipo',
    nothingYet: 'Todavía no se vigila ningún equipo. Para empezar: agregar los equipos en netwatch.toml y reiniciar netwatch.',
    nothingFound: 'Ningún equipo coincide con la búsqueda.', clear: 'Quitar los filtros',
    never: 'nunca respondió', neverFold: (n) => `${int(n)} ${n === 1 ? 'nunca respondió' : 'nunca respondieron'}`,
    lastAnswer: 'última respuesta', mailed: 'correo', mailTo: 'a', notYet: 'sin aviso todavía', tolerance: 'tolerancia',
    owed: 'aviso pendiente', recovering: 'recuperándose', flapping: 'inestable', ackedBy: 'atendido por', acked: 'Lo atiende',
    maintenance: 'en mantenimiento', until: 'hasta', paused: 'en pausa', customers: (n) => `${int(n)} ${n === 1 ? 'cliente' : 'clientes'}`,
    more: (n) => `y ${int(n)} más`,
    mostDown: (n, all) => `${int(n)} de ${int(all)} no ${n === 1 ? 'responde' : 'responden'}`, noGroup: 'Sin grupo', ping: 'ping', slow: 'ping alto', limit: 'aviso desde', loss: 'pérdida',
    jitter: 'jitter', noMail: 'sin correo desde', waiting: (n) => `${int(n)} ${n === 1 ? 'aviso esperando' : 'avisos esperando'}`,
    refused: (to, why) => `${to} rechazó el correo${why ? `: ${why}` : ''}`,
    blind: 'netwatch está a ciegas desde', blindWhy: 'el servidor de netwatch quedó sin red: no se sabe cómo está ningún equipo',
    noJournal: 'no se puede guardar nada desde', noJournalWhy: 'los avisos salen igual, desde la memoria',
    noRoom: 'el disco de netwatch está casi lleno',
    setAside: 'la base de datos estaba dañada; se guardó aparte y netwatch sigue con una nueva',
    search: 'buscar nombre, grupo, dirección …   /', searchLabel: 'Buscar', boxes: 'cajas', cells: 'celdas', view: 'Vista',
    anyGroup: 'grupo: todos', anyStatus: 'estado: todos', group: 'Grupo', statusWord: 'Estado', address: 'Dirección',
    since: 'Desde', note: 'Nota', customersWord: 'Clientes', told: 'Aviso', close: 'Cerrar', counts: 'Cuántos hay de cada estado',
    theme: { auto: 'Tema: el del sistema', light: 'Tema: claro', dark: 'Tema: oscuro' }, causeWord: 'Causa', flags: 'Además',
    ago: (t) => `hace ${t}`, day: 'd', help: 'Atajos de teclado',
    keys: [['/', 'buscar'], ['j  k', 'siguiente, anterior'], ['Enter', 'abrir'], ['Esc', 'cerrar o quitar los filtros'], ['?', 'esta ayuda']],
    cause: {
      blind: 'netwatch quedó sin red', paused: 'en pausa', starting: 'netwatch acaba de iniciar', unresolved: 'el servidor de netwatch no pudo resolver el nombre (DNS)',
      no_socket: 'el servidor de netwatch no pudo abrir un socket', no_route: 'el servidor de netwatch no tiene ruta hacia la dirección',
      interface_down: 'la interfaz del servidor de netwatch está caída',
      no_interface: 'el servidor de netwatch no tiene la interfaz o la dirección de origen',
      output_refused: 'el firewall del servidor de netwatch no deja salir el paquete',
      queue_full: 'la cola de envío del servidor de netwatch estaba llena', too_long: 'el paquete no cabe en la MTU del enlace',
      send_failed: 'el servidor de netwatch no pudo enviar el paquete',
      receive_overflow: 'se llenó el buffer de recepción del servidor de netwatch',
      softnet_drops: 'el servidor de netwatch descartó paquetes que recibía',
      neighbours_full: 'la tabla de vecinos (ARP) del servidor de netwatch está llena',
      conntrack_full: 'la tabla de conexiones (conntrack) del servidor de netwatch está llena',
      not_sent: 'el servidor de netwatch no llegó a enviar el paquete a tiempo', stalled: 'netwatch estuvo detenido',
      no_result: 'la prueba de netwatch no dio resultado', probe_failed: 'la prueba de netwatch no pudo determinarlo',
    },
  },
  en: {
    ok: 'OK', warning: 'WARNING', down: 'DOWN', unreachable: 'UNREACHABLE', unknown: 'UNKNOWN', pending: 'PENDING',
    live: 'live', connecting: 'connecting…', noData: 'no data', noDataSince: 'no data since',
    noDataWhy: 'what you see is the last that was known; the page reconnects by itself',
    wrong: 'What is wrong', allWell: 'All is well', allWellOf: (n) => (n === 1 ? 'the only device answers' : `all ${int(n)} devices answer`),
    allWellSome: 'no device that is watched is down or slow',
    asking: 'Still asking …',
    askingOf: (n) => `${int(n)} ${n === 1 ? 'device has' : 'devices have'} not been checked yet`,
    allPaused: 'Everything is paused', allPausedWhy: 'no device is being asked',
    nothingYet: 'No device is watched yet. Add yours to netwatch.toml and restart netwatch.',
    nothingFound: 'No device matches the search.', clear: 'Clear the filters',
    never: 'never answered', neverFold: (n) => `${int(n)} never answered`,
    lastAnswer: 'last answer', mailed: 'mailed', mailTo: 'to', notYet: 'nobody told yet', tolerance: 'tolerance',
    owed: 'mail pending', recovering: 'recovering', flapping: 'flapping', ackedBy: 'acknowledged by', acked: 'Acknowledged by',
    maintenance: 'in maintenance', until: 'until', paused: 'paused', customers: (n) => `${int(n)} ${n === 1 ? 'customer' : 'customers'}`,
    more: (n) => `and ${int(n)} more`,
    mostDown: (n, all) => `${int(n)} of ${int(all)} ${n === 1 ? 'does' : 'do'} not answer`, noGroup: 'No group', ping: 'ping', slow: 'slow ping', limit: 'limit', loss: 'loss',
    jitter: 'jitter', noMail: 'no mail since', waiting: (n) => `${int(n)} ${n === 1 ? 'line waiting' : 'lines waiting'}`,
    refused: (to, why) => `${to} refused the mail${why ? `: ${why}` : ''}`,
    blind: 'netwatch has been blind since', blindWhy: 'the netwatch server is cut off from the network: how the devices are is not known',
    noJournal: 'nothing can be saved since', noJournalWhy: 'mail still goes out, from memory',
    noRoom: 'the disk of netwatch is almost full',
    setAside: 'the database was damaged; it is kept aside and netwatch goes on with a new one',
    search: 'search name, group, address …   /', searchLabel: 'Search', boxes: 'boxes', cells: 'cells', view: 'View',
    anyGroup: 'group: all', anyStatus: 'status: all', group: 'Group', statusWord: 'Status', address: 'Address',
    since: 'Since', note: 'Note', customersWord: 'Customers', told: 'Told', close: 'Close', counts: 'How many there are of each status',
    theme: { auto: 'Theme: the system’s', light: 'Theme: light', dark: 'Theme: dark' }, causeWord: 'Cause', flags: 'Also',
    ago: (t) => `${t} ago`, day: 'd', help: 'Keys',
    keys: [['/', 'search'], ['j  k', 'next, previous'], ['Enter', 'open'], ['Esc', 'close, or clear the filters'], ['?', 'this help']],
    cause: {
      blind: 'netwatch was cut off from the network', paused: 'paused', starting: 'netwatch has just started', unresolved: 'the netwatch server could not resolve the name (DNS)',
      no_socket: 'the netwatch server could not open a socket', no_route: 'the netwatch server has no route to the address',
      interface_down: 'the netwatch server’s interface is down',
      no_interface: 'the netwatch server has no such interface or source address',
      output_refused: 'the netwatch server’s firewall refused the packet', queue_full: 'the netwatch server’s send queue was full',
      too_long: 'the packet is larger than the link’s MTU', send_failed: 'the netwatch server could not send the packet',
      receive_overflow: 'the netwatch server’s receive buffer overflowed',
      softnet_drops: 'the netwatch server dropped packets it received',
      neighbours_full: 'the netwatch server’s neighbour (ARP) table is full',
      conntrack_full: 'the netwatch server’s conntrack table is full', not_sent: 'the netwatch server did not send in time',
      stalled: 'netwatch stood still', no_result: 'netwatch’s probe gave no result', probe_failed: 'netwatch’s probe could not tell',
    },
  },
};

const TAGS = { es: 'es-PY', en: 'en-GB' };
let lang = 'es';

export function setLang(to) {
  lang = to === 'en' ? 'en' : 'es';
  document.documentElement.lang = lang;
}

export const getLang = () => lang;
export const w = () => WORDS[lang];
export const int = (n) => new Intl.NumberFormat(TAGS[lang]).format(n);

/** A ping: one decimal below 100 ms, none above. */
export function ms(value) {
  if (value === null || value === undefined) return '';
  const digits = value < 100 ? 1 : 0;
  return `${new Intl.NumberFormat(TAGS[lang], { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value)} ms`;
}

export const percent = (share) => `${new Intl.NumberFormat(TAGS[lang], { maximumFractionDigits: 1 }).format(share * 100)} %`;

/** The hour in this browser's zone; with the date if it was not today. */
export function clock(time, now) {
  const date = new Date(time);
  const hour = date.toLocaleTimeString(TAGS[lang], { hourCycle: 'h23', hour: '2-digit', minute: '2-digit', second: '2-digit' });
  const today = date.toDateString() === new Date(now).toDateString();
  return today ? hour : `${date.toLocaleDateString(TAGS[lang], { day: 'numeric', month: 'short' })} ${hour}`;
}

export const exact = (time) =>
  new Date(time).toLocaleString(TAGS[lang], { dateStyle: 'full', timeStyle: 'long', hourCycle: 'h23' });

/** A time in its largest whole unit: 90 s are "1 min". */
export function span(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h`;
  return `${int(Math.floor(s / 86400))} ${w().day}`;
}

/** HH:MM:SS, with days before it when there are any. */
export function stopwatch(milliseconds) {
  const s = Math.max(0, Math.floor(milliseconds / 1000));
  const two = (n) => String(n).padStart(2, '0');
  const days = Math.floor(s / 86400);
  const time = `${two(Math.floor(s / 3600) % 24)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  return days ? `${int(days)} ${w().day} ${time}` : time;
}
