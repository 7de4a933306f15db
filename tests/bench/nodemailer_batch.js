// Sends messages with nodemailer's pool: PORT SESSIONS MESSAGES SIZE SENDER RECIPIENT.
'use strict';

// Where Debian has it is not looked in by every Node.js.
module.paths.push('/usr/share/nodejs');
const nodemailer = require('nodemailer');

if (process.argv[2] === '--version') {
	console.log(require('nodemailer/package.json').version);
	process.exit(0);
}

const [port, sessions, messages, size] = process.argv.slice(2, 6).map(Number);
const [from, to] = process.argv.slice(6, 8);
const text = ('x'.repeat(76) + '\n').repeat(size / 77 + 1).slice(0, size - 1) + '\n';
const pool = nodemailer.createTransport({
	pool: true, maxConnections: sessions, maxMessages: Infinity,
	host: '127.0.0.1', port, name: 'client.example', secure: false, ignoreTLS: true,
});

let begun = 0, done = 0;

function sent(error) {
	if (error) {
		console.error(error.message);
		process.exit(1);
	}
	if (++done === messages)
		pool.close();
}

// The way of its documentation: more whenever the pool says that it has room.
pool.on('idle', () => {
	while (pool.isIdle() && begun < messages)
		pool.sendMail({ from, to, subject: `bench ${begun++}`, text }, sent);
});
