'use strict';
// Loaded by NODE_OPTIONS=--require. The AWS SDK for JavaScript makes https.Agents
// of its own, which read no proxy variable in any version of Node. This makes
// every https.Agent open its connections through HTTPS_PROXY with CONNECT. It
// changes the prototype, so it reaches agents however https was imported.
const https = require('https');
const net = require('net');
const tls = require('tls');

const installed = Symbol.for('sallyport.node-proxy');

function proxyFromEnvironment() {
  const text = process.env.HTTPS_PROXY || process.env.https_proxy;
  if (!text) return null;
  try {
    const url = new URL(text);
    return url.protocol === 'http:' || url.protocol === 'https:' ? url : null;
  } catch {
    return null;
  }
}

function bare(host) {
  return String(host).replace(/^\[|\]$/g, '').toLowerCase();
}

// direct says whether NO_PROXY names the host: exactly, or as a parent domain.
function direct(host) {
  const list = (process.env.NO_PROXY || process.env.no_proxy || '').split(/[\s,]+/).filter(Boolean);
  return list.some((entry) => {
    const e = bare(entry);
    return e === '*' || host === e || host.endsWith(e.startsWith('.') ? e : '.' + e);
  });
}

function authorization(proxy) {
  if (!proxy.username && !proxy.password) return '';
  const text = decodeURIComponent(proxy.username) + ':' + decodeURIComponent(proxy.password);
  return 'Proxy-Authorization: Basic ' + Buffer.from(text).toString('base64') + '\r\n';
}

// tunnel opens a CONNECT tunnel to host:port and calls done(error, socket) once.
function tunnel(proxy, host, port, done) {
  const to = { host: bare(proxy.hostname), port: Number(proxy.port) || (proxy.protocol === 'https:' ? 443 : 80) };
  const secure = proxy.protocol === 'https:';
  const socket = secure ? tls.connect({ ...to, servername: net.isIP(to.host) ? '' : to.host }) : net.connect(to);
  let head = Buffer.alloc(0);
  let over = false;
  const finish = (error) => {
    if (over) return;
    over = true;
    socket.removeListener('data', onData);
    socket.removeListener('error', onError);
    socket.removeListener('end', onEnd);
    if (error) {
      socket.destroy();
      done(error);
    } else {
      done(null, socket);
    }
  };
  const onError = (error) => finish(new Error('sallyport: the proxy ' + to.host + ':' + to.port + ' cannot be reached: ' + error.message));
  const onEnd = () => finish(new Error('sallyport: the proxy closed the connection'));
  const onData = (data) => {
    head = Buffer.concat([head, data]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) {
      if (head.length > 65536) finish(new Error('sallyport: the proxy answered with too long a header'));
      return;
    }
    const status = /^HTTP\/1\.[01] (\d{3})([^\r]*)/.exec(head.toString('latin1', 0, end));
    if (!status || status[1] !== '200') {
      finish(new Error('sallyport: the proxy refused ' + host + ':' + port + (status ? ': ' + status[1] + status[2] : '')));
      return;
    }
    socket.pause();
    const rest = head.subarray(end + 4);
    if (rest.length) socket.unshift(rest);
    finish(null);
  };
  socket.on('error', onError);
  socket.on('end', onEnd);
  socket.on('data', onData);
  socket.once(secure ? 'secureConnect' : 'connect', () => {
    const authority = (net.isIPv6(host) ? '[' + host + ']' : host) + ':' + port;
    socket.write('CONNECT ' + authority + ' HTTP/1.1\r\nHost: ' + authority + '\r\n' + authorization(proxy) + '\r\n');
  });
}

if (!https.Agent.prototype[installed]) {
  const original = https.Agent.prototype.createConnection;
  Object.defineProperty(https.Agent.prototype, installed, { value: true });
  https.Agent.prototype.createConnection = function createConnection(options, callback) {
    const proxy = proxyFromEnvironment();
    const given = options && typeof options === 'object' ? options : {};
    const host = bare(given.host || given.hostname || 'localhost');
    // A proxy agent of the application's own brings a socket; newer Nodes' global
    // agent does the same work itself (proxyEnv).
    if (!proxy || given.socket || given.socketPath || (this.options && this.options.proxyEnv) || direct(host)) {
      return original.apply(this, arguments);
    }
    tunnel(proxy, host, given.port || 443, (error, socket) => {
      if (error) {
        callback(error);
        return;
      }
      const servername = given.servername || (net.isIP(host) ? '' : host);
      callback(null, original.call(this, { ...given, socket, servername }));
    });
    return undefined;
  };
}
