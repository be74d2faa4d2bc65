// Required before a program of Node.js: it then reaches nothing.
const { Socket } = require("node:net");

Socket.prototype.connect = function connect() {
  throw new Error("this program is to do without a network");
};
