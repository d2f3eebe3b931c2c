'use strict';
// Small plots, drawn as SVG: each has the words for those who cannot see it.

(() => {
  const { svg } = gallery.dom;

  /** A bar with parts, each a share of 1 and a class. */
  function bar(parts, label) {
    let at = 0;
    const made = parts.map(([share, kind]) => {
      const rect = svg('rect', { x: at * 100, y: 0, width: Math.max(0, share * 100), height: 10, class: kind });
      at += share;
      return rect;
    });
    return svg(
      'svg',
      { class: 'bar', viewBox: '0 0 100 10', preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
      made,
    );
  }

  /** A range with its middle, all in percent of the width. */
  function interval(low, middle, high) {
    const label = 'range of the strength';
    return svg(
      'svg',
      { class: 'interval', viewBox: '0 0 100 10', preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
      svg('line', { x1: 0, x2: 100, y1: 5, y2: 5, class: 'track' }),
      svg('rect', { x: low, y: 3, width: Math.max(0.8, high - low), height: 4, rx: 1, class: 'range' }),
      svg('rect', { x: middle - 0.6, y: 0, width: 1.2, height: 10, class: 'middle' }),
    );
  }

  /** A line over time; points are pairs of a moment and a value. */
  function line(points, label, { step = false } = {}) {
    const [width, height] = [320, 90];
    const [first, last] = [points[0][0], points.at(-1)[0]];
    const top = Math.max(...points.map((point) => point[1]), 1e-9);
    const x = (moment) => ((moment - first) / Math.max(last - first, 1e-9)) * width;
    const y = (value) => height - 2 - (value / top) * (height - 6);
    const path = points
      .map(
        ([moment, value], number) =>
          `${number ? (step ? `H${x(moment).toFixed(1)}V` : `L${x(moment).toFixed(1)},`) : `M${x(moment).toFixed(1)},`}${y(value).toFixed(1)}`,
      )
      .join('');
    return svg(
      'svg',
      {
        class: 'line',
        viewBox: `0 0 ${width} ${height}`,
        preserveAspectRatio: 'none',
        role: 'img',
        'aria-label': label,
      },
      svg('path', { d: `${path}L${width},${height}L0,${height}Z`, class: 'area' }),
      svg('path', { d: path, class: 'stroke', 'vector-effect': 'non-scaling-stroke' }),
    );
  }

  gallery.plot = { bar, interval, line };
})();
