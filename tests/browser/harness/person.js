// People who have never been seen before, so that no case depends on another.

let made = 0;

/** A new address, a good password, and a mobile number of a real range (Switzerland). */
export function newPerson() {
  made += 1;
  return {
    email: `person-${made}@example.com`,
    password: "Lantern-Quarry-Thistle-83",
    phone: number(made),
  };
}

/** A valid number that belongs to nobody in the suite. */
export function otherNumber() {
  made += 1;
  return number(made);
}

/** The same number as people write it, in groups. */
export function spelledDifferently(phone) {
  const [, area, a, b, c] = /^\+41(\d\d)(\d{3})(\d\d)(\d\d)$/.exec(phone);
  return `+41 ${area}-${a} ${b} ${c}`;
}

function number(n) {
  return `+4179${1_000_000 + n}`;
}
