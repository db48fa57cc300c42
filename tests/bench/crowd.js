// The measured crowd in Node.js: many connects at once, and a ticker that shows for how long the loop is deaf.
//
//     node crowd.js TARGET_PORT
//
// A count of connections on each line of standard input; see worker.py. `late` is by how many seconds the ticker was late
// at worst.
"use strict";
const net = require("node:net");
const readline = require("node:readline");

const TICK = 2;
const port = Number(process.argv[2]);

function connect() {
    return new Promise((resolve, reject) => {
        const socket = net.connect({ port, host: "127.0.0.1" }, () => resolve(socket));
        socket.on("error", reject);
    });
}

async function crowd(count) {
    let late = 0;
    let before = performance.now();
    const ticker = setInterval(() => {
        const now = performance.now();
        late = Math.max(late, now - before - TICK);
        before = now;
    }, TICK);
    const began = performance.now();
    const sockets = await Promise.all(Array.from({ length: count }, connect));
    const seconds = (performance.now() - began) / 1000;
    // The end of the last connect may have held up the ticker, too.
    await new Promise((resolve) => setTimeout(resolve, 5 * TICK));
    clearInterval(ticker);
    sockets.forEach((socket) => socket.destroy());
    return { seconds, late: late / 1000 };
}

async function main() {
    for await (const line of readline.createInterface({ input: process.stdin })) {
        console.log(JSON.stringify(await crowd(Number(line))));
    }
}

main();
