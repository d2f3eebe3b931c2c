'use strict';
// From answers of blind comparisons to a ranking: the model of Bradley and Terry, by which the odds that one value is
// preferred to another are the ratio of their strengths. How sure it is comes from resampling the answers (bootstrap).

(() => {
  const SWEEPS = 200;
  const CLOSE = 1e-6;
  const RESAMPLES = 200;
  const COVERED = 0.9;

  /** Numbers between 0 and 1 that are the same for the same seed (mulberry32): a ranking does not tremble. */
  function dice(seed) {
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  /** Wins and meetings of every pair; a tie is half a win for both. */
  function counted(answers, size) {
    const wins = new Float64Array(size);
    const met = new Float64Array(size * size);
    for (const { a, b, won } of answers) {
      wins[a] += won === 'a' ? 1 : won === 'tie' ? 0.5 : 0;
      wins[b] += won === 'b' ? 1 : won === 'tie' ? 0.5 : 0;
      met[a * size + b] += 1;
      met[b * size + a] += 1;
    }
    return { wins, met };
  }

  /**
   * Fit the strengths by the usual iteration (Hunter, MM algorithms for generalized Bradley-Terry models, 2004). Each
   * value also drew once with an average one: without that, one that always wins would be infinitely strong.
   * @returns {number[]} Logarithms of the strengths, their mean 0.
   */
  function strengths(answers, size) {
    const { wins, met } = counted(answers, size);
    let held = new Float64Array(size).fill(1);
    for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
      const next = held.map((own, i) => {
        let weight = 1 / (own + 1);
        for (let j = 0; j < size; j += 1) if (met[i * size + j]) weight += met[i * size + j] / (own + held[j]);
        return (wins[i] + 0.5) / weight;
      });
      const moved = Math.max(...next.map((each, i) => Math.abs(Math.log(each / held[i]))));
      held = next;
      if (moved < CLOSE) break;
    }
    const logs = Array.from(held, Math.log);
    const mean = logs.reduce((sum, each) => sum + each, 0) / Math.max(1, size);
    return logs.map((each) => each - mean);
  }

  function quantile(sorted, part) {
    return sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(part * (sorted.length - 1))))];
  }

  /**
   * Rank values by answers.
   * @param {{a: number, b: number, won: 'a'|'b'|'tie'}[]} answers  Between numbers of values.
   * @param {number} size  How many values there are.
   * @returns {{value, strength, low, high, wins, met}[]}  Best first; low and high hold 90 % of the resamplings.
   */
  function rank(answers, size) {
    const fitted = strengths(answers, size);
    const { wins, met } = counted(answers, size);
    const roll = dice(answers.length * 7919 + size);
    const drawn = Array.from({ length: size }, () => []);
    for (let turn = 0; turn < RESAMPLES; turn += 1) {
      const again = answers.map(() => answers[Math.floor(roll() * answers.length)]);
      strengths(again, size).forEach((strength, value) => drawn[value].push(strength));
    }
    const ranked = fitted.map((strength, value) => {
      const sorted = drawn[value].sort((a, b) => a - b);
      const games = met.subarray(value * size, (value + 1) * size).reduce((sum, each) => sum + each, 0);
      const [low, high] = [quantile(sorted, (1 - COVERED) / 2), quantile(sorted, (1 + COVERED) / 2)];
      return { value, strength, low, high, wins: wins[value], met: games };
    });
    return ranked.sort((a, b) => b.strength - a.strength);
  }

  gallery.ranking = { rank, strengths, dice };
})();
